"""The page around a report: style, the script that sorts tables, and the policy that allows both.

Everything is in the file. The policy forbids every other source, so that a report which holds
something hostile neither runs it nor calls anybody. Pictures are switched by radio buttons and
style rules alone: that works without scripts and with a keyboard.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from numaplace.report.html.text import escaped

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #5b6470;
  --lines: #c3c8d0; --panel: #f6f7f9; --socket: #eceef2; --node: #fff; --reserved: #d9dce1;
  --accent: #0062a0; --before: #98a2b3; --after: #d55e00; --good: #0a6b43; --warn: #8a5300;
  --bad: #b3261e; }
@media screen and (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --ink: #e8eaed; --faint: #a3abb6;
  --lines: #434b57; --panel: #1b1f25; --socket: #242a32; --node: #14171b; --reserved: #3a414b;
  --accent: #7cc0f4; --before: #7d8794; --after: #f08a3c; --good: #5fd6a0; --warn: #f3b95f;
  --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 1.2rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
.faint { color: var(--faint); }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.verdict { font-weight: 600; margin: .4rem 0 1rem; }
dl.sums { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .6rem;
  margin: 1rem 0; }
dl.sums div { background: var(--panel); border: 1px solid var(--lines); border-radius: 6px;
  padding: .5rem .8rem; }
dl.sums dt { color: var(--faint); font-size: .85rem; }
dl.sums dd { margin: 0; font-size: 1.1rem; font-weight: 600; }
.scroll { overflow-x: auto; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--lines); overflow-wrap: break-word; }
td { min-width: 5rem; max-width: 28rem; }
th { white-space: nowrap; border-bottom-width: 2px; }
th.number, td.number { text-align: right; white-space: nowrap; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
th button::after { content: " \\2195"; color: var(--faint); font-weight: 400; }
th[aria-sort="ascending"] button::after { content: " \\2191"; color: inherit; }
th[aria-sort="descending"] button::after { content: " \\2193"; color: inherit; }
.bars { display: block; width: 100%; min-width: 8rem; height: 1.3rem; }
.bars .before, .key .before { fill: var(--before); }
.bars .after, .key .after { fill: var(--after); }
.key svg { width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem; }
.views { position: relative; border: 0; margin: 0; padding: 0; }
.views input { position: absolute; opacity: 0; }
.views label { display: inline-block; padding: .3rem 1rem; margin: 0 .3rem .7rem 0;
  border: 1px solid var(--lines); border-radius: 6px; cursor: pointer; }
.views input:checked + label { background: var(--accent); border-color: var(--accent);
  color: var(--paper); }
.views input:focus-visible + label { outline: 2px solid var(--accent); outline-offset: 2px; }
.views .view { display: none; }
#show-before:checked ~ .before, #show-after:checked ~ .after, #show-both:checked ~ .view {
  display: block; }
svg.picture { max-width: 100%; height: auto; font-family: "DejaVu Sans", Verdana, sans-serif; }
@media (max-width: 800px) { body { padding: .8rem; } td { min-width: 7rem; }
  svg.picture { max-width: none; } }
.picture text:not(.own) { fill: var(--ink); } .picture text.faint { fill: var(--faint); }
.picture text.bold { font-weight: 700; }
.picture text.outlined { stroke: var(--node); stroke-width: 2.2; paint-order: stroke; }
.picture rect { stroke-width: .6; }
.s-host { fill: var(--panel); stroke: var(--lines); } .s-socket { fill: var(--socket); }
.s-node, .node-fill { fill: var(--node); } .s-node { stroke: var(--faint); }
.s-bar { fill: none; stroke: var(--faint); }
.s-track { fill: var(--node); stroke: var(--lines); stroke-dasharray: 1 1.5; }
.picture .s-limit { fill: none; stroke: var(--ink); stroke-width: 1.4; }
.s-cell, .s-memory, .s-heat { stroke: var(--node); }
.s-reserved { fill: var(--reserved); stroke: var(--node); } .s-copy { stroke: var(--faint); }
.picture .s-pool { fill: none; stroke: var(--ink); stroke-width: 1.1; }
.s-loss { fill: var(--after); }
.picture path.arrow { fill: none; stroke-width: 1.1; }
@media screen and (prefers-color-scheme: dark) { .arrow, .head { filter: brightness(1.9); } }
.picture path.halo { fill: none; stroke: var(--node); stroke-width: 2.6; }
footer { margin-top: 2.5rem; font-size: .85rem; color: var(--faint); }
@media print { body { max-width: none; padding: 0; font-size: 11px; }
  .views input, .views label { display: none; } .views .view { display: block; }
  .scroll { overflow: visible; } svg.picture { max-width: 100%; } tr, svg { break-inside: avoid; }
  h2 { break-after: avoid; } th button::after { content: ""; }
  .picture, .bars, .key { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""

SCRIPT = """
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
"""


def page(title: str, body: str) -> str:
    """Return a whole document; `body` is HTML, `title` is text."""
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(STYLE)}'; "
        f"script-src '{_digest(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{escaped(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
<script>{SCRIPT}</script>
</body>
</html>
"""


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
