"""Who ran where, from a trace of Xen's scheduler (`xentrace -e 0x0002f000`).

A record: 32 bits (bit 31: a 64-bit clock follows, bits 28 to 30: words behind it, rest: the
event). Event 0x21XY1 is a change of state of one vCPU, X before and Y after (0 running, 1
runnable, 2 blocked, 3 offline); its first word is domain << 16 | vCPU. Event 0x1f003 says of which
pCPU the next records are. The clock counts ns in QEMU with -icount. A vCPU that never switches
leaves no record.
"""

from __future__ import annotations

import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

RUNNING, RUNNABLE, BLOCKED = range(3)
IDLE_DOMAIN = 32767
PER_NODE = 8
NS_PER_S, NS_PER_MS = 1e9, 1e6

Who = tuple[int, int]
"""A domain and the number of its vCPU."""
Record = tuple[int, int, int, tuple[int, ...]]
"""Clock, pCPU, event, and its words."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A vCPU in one state on one pCPU (where it last ran, if it does not run), ns."""

    who: Who
    state: int
    pcpu: int
    start: int
    end: int

    @property
    def ns(self) -> int:
        """How long it lasted."""
        return self.end - self.start


def records(data: bytes) -> list[Record]:
    """All records with a clock, in its order."""
    found: list[Record] = []
    position, pcpu = 0, -1
    while position + 4 <= len(data):
        (head,) = struct.unpack_from("<I", data, position)
        count, timed = (head >> 28) & 7, head >> 31
        words_at = position + 4 + 8 * timed
        if head == 0 or words_at + 4 * count > len(data):
            break
        words = struct.unpack_from(f"<{count}I", data, words_at)
        if head & 0x0FFFFFFF == 0x1F003:
            pcpu = words[0]
        elif timed:
            (clock,) = struct.unpack_from("<Q", data, position + 4)
            found.append((clock, pcpu, head & 0x0FFFFFFF, words))
        position = words_at + 4 * count
    return sorted(found)


def seats(listing: str) -> dict[Who, int]:
    """Read from `xl vcpu-list` on which pCPU each guest's vCPU is."""
    rows = re.findall(r"^\S+ +(\d+) +(\d+) +(\d+) ", listing, re.MULTILINE)
    return {(int(domain), int(vcpu)): int(pcpu) for domain, vcpu, pcpu in rows if domain != "0"}


def stays(found: Iterable[Record], sat: Mapping[Who, int], first: int, end: int) -> Iterator[Stay]:
    """What each vCPU did from `first` to `end`; without a record it runs on where it sat before."""
    now: dict[Who, tuple[int, int, int]] = {}
    for clock, pcpu, event, words in found:
        if event & 0xFFFF00F != 0x21001:
            continue
        who = words[0] >> 16, words[0] & 0xFFFF
        before, after = event >> 8 & 15, event >> 4 & 15
        state, where, since = now.get(who, (before, pcpu, first))
        yield Stay(who, state, where, since, clock)
        # Who wakes or waits was on the pCPU where it ran, not on that which recorded it.
        now[who] = after, pcpu if RUNNING in (before, after) else where, clock
    for who, pcpu in sat.items():
        now.setdefault(who, (RUNNING, pcpu, first))
    for who, (state, where, since) in now.items():
        yield Stay(who, state, where, since, end)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trace says of guests and of dom0.

    Parameters
    ----------
    seconds
        Traced.
    dom0_pcpus, dom0_burst_ms
        PCPUs that dom0 kept busy on average, and how long it ran from a wake-up until it slept.
    busy_ms, idle_ms
        The same of guests, and how long they slept; 0 if they never did.
    home_share
        Share of the guests' running time on their home node.
    wait_share
        Share of the time in which a guest's vCPU wanted to run that it waited.
    idle_wait_share
        The part of that in which a pCPU it may use was idle: the time it takes to be told, and in
        QEMU until that pCPU has its turn.
    moves_per_s
        How often a guest's vCPU came to another pCPU.
    shared_core
        Share of the guests' running time in which the other thread of their core was busy too.
    """

    seconds: float
    dom0_pcpus: float
    dom0_burst_ms: float
    busy_ms: float
    idle_ms: float
    home_share: float
    wait_share: float
    idle_wait_share: float
    moves_per_s: float
    shared_core: float


def measure(
    found: list[Record], sat: Mapping[Who, int], homes: Mapping[int, int], *, hard: bool
) -> Measured:
    """Sum a trace up.

    Parameters
    ----------
    found, sat
        Records, and where guests' vCPUs were before them.
    homes
        Home node of each guest, by domain.
    hard
        Whether guests may run at home only.
    """
    first, end = found[0][0], found[-1][0]
    every = list(stays(found, sat, first, end))
    ran: dict[Who, list[Stay]] = defaultdict(list)
    spent: Counter[tuple[bool, int]] = Counter()
    slept: Counter[bool] = Counter()
    for stay in every:
        if stay.state == RUNNING:
            ran[stay.who].append(stay)
        if stay.who[0] in homes or stay.who[0] == 0:
            spent[stay.who[0] == 0, stay.state] += stay.ns
            slept[stay.who[0] == 0] += stay.state == BLOCKED
    guests = [spell for who, spells in ran.items() if who[0] in homes for spell in spells]
    count = len([who for who in ran if who[0] in homes])
    running, waiting = spent[False, RUNNING], spent[False, RUNNABLE]
    moves = sum(
        a.pcpu != b.pcpu
        for who, spells in ran.items()
        if who[0] in homes
        for a, b in pairwise(spells)
    )
    seconds = (end - first) / NS_PER_S
    sleeps = slept[False] > count  # some block once as they start
    return Measured(
        seconds,
        spent[True, RUNNING] / (end - first),
        spent[True, RUNNING] / max(1, slept[True]) / NS_PER_MS,
        running / slept[False] / NS_PER_MS if sleeps else 0.0,
        spent[False, BLOCKED] / slept[False] / NS_PER_MS if sleeps else 0.0,
        sum(s.ns for s in guests if s.pcpu // PER_NODE == homes[s.who[0]]) / running,
        waiting / (waiting + running),
        _idle_waiting(every, homes, hard=hard) / (waiting + running),
        moves / seconds / count,
        _shared(every, homes) / running,
    )


def _edges(every: Iterable[Stay]) -> list[tuple[int, int, Stay]]:
    """Begin (1) and end (-1) of stays by time, ends first."""
    found = [(t, sign, s) for s in every if s.ns for t, sign in ((s.start, 1), (s.end, -1))]
    return sorted(found, key=lambda edge: edge[:2])


def _idle_waiting(every: list[Stay], homes: Mapping[int, int], *, hard: bool) -> int:
    """Time that guests' vCPUs waited while a pCPU that they may use was idle, ns."""
    idle: Counter[int] = Counter()
    waiting: Counter[int] = Counter()
    total, last = 0, 0
    for clock, sign, stay in _edges(every):
        for node, number in waiting.items():
            if idle[node] if hard else idle.total():
                total += number * (clock - last)
        last = clock
        if stay.who[0] == IDLE_DOMAIN and stay.state == RUNNING:
            idle[stay.pcpu // PER_NODE] += sign
        elif stay.who[0] in homes and stay.state == RUNNABLE:
            waiting[homes[stay.who[0]]] += sign
    return total


def _shared(every: list[Stay], homes: Mapping[int, int]) -> int:
    """Guests' time in which the other thread (2k and 2k + 1) ran something too, ns."""
    busy: dict[int, int] = {}
    since: Counter[int] = Counter()
    total = 0
    for clock, sign, stay in _edges(every):
        if stay.state != RUNNING or stay.who[0] == IDLE_DOMAIN:
            continue
        core = stay.pcpu // 2
        pair = [busy[p] for p in (2 * core, 2 * core + 1) if p in busy]
        if len(pair) == 2:
            total += (clock - since[core]) * sum(domain in homes for domain in pair)
        since[core] = clock
        if sign > 0:
            busy[stay.pcpu] = stay.who[0]
        else:
            busy.pop(stay.pcpu, None)
    return total
