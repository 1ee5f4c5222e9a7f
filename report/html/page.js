'use strict';
function key(row, column) {
  const field = row.cells[column];
  return 'sort' in field.dataset ? Number(field.dataset.sort) : field.textContent;
}
function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), undefined, {numeric: true});
}
function sort(table, column) {
  const heads = table.tHead.rows[0].cells, body = table.tBodies[0];
  const up = heads[column].getAttribute('aria-sort') !== 'ascending';
  const rows = Array.from(body.rows, row => [key(row, column), row]);
  rows.sort((a, b) => up ? compare(a[0], b[0]) : compare(b[0], a[0]));
  body.append(...rows.map(pair => pair[1]));
  for (const head of heads) head.removeAttribute('aria-sort');
  heads[column].setAttribute('aria-sort', up ? 'ascending' : 'descending');
}
for (const table of document.querySelectorAll('table.sortable')) {
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    button.addEventListener('click', () => sort(table, column));
    head.append(button);
  });
}
