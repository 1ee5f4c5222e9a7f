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
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

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
    seats
        PCPU of each vCPU of the guests when the trace began.
    dom0
        Of each vCPU of dom0: share of the time it ran, and how long on average (ms) from a wake-up
        until it slept.
    busy_ms, idle_ms
        How long guests ran until they slept, and slept; 0 if they never did.
    home_share
        Share of the guests' running time on their home node.
    wait_share
        Share of the time in which a guest's vCPU wanted to run that it waited.
    idle_wait_share
        The part of that in which a pCPU it may use was idle: the time it takes to be told, and in
        QEMU until that pCPU has its turn.
    moves_per_s
        How often a guest's vCPU came to another pCPU.
    """

    seconds: float
    seats: tuple[int, ...]
    dom0: tuple[tuple[float, float], ...]
    busy_ms: float
    idle_ms: float
    home_share: float
    wait_share: float
    idle_wait_share: float
    moves_per_s: float


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
    every = [stay for stay in stays(found, sat, first, end) if stay.ns]
    spent: Counter[tuple[Who, int]] = Counter()
    slept: Counter[Who] = Counter()
    last: dict[Who, int] = {}
    home, moves = 0, 0
    for stay in every:
        spent[stay.who, stay.state] += stay.ns
        slept[stay.who] += stay.state == BLOCKED
        if stay.state == RUNNING and stay.who[0] in homes:
            home += stay.ns * (stay.pcpu // PER_NODE == homes[stay.who[0]])
            moves += last.setdefault(stay.who, stay.pcpu) != stay.pcpu
            last[stay.who] = stay.pcpu
    guests = [who for who in slept if who[0] in homes]
    run, wait, sleep = (
        sum(spent[who, state] for who in guests) for state in (RUNNING, RUNNABLE, BLOCKED)
    )
    naps = sum(slept[who] for who in guests)
    naps = naps if naps > len(guests) else 0  # some block once as they start
    dom0 = [(spent[who, RUNNING], max(1, slept[who])) for who in sorted(slept) if who[0] == 0]
    return Measured(
        (end - first) / NS_PER_S,
        tuple(sat[who] for who in sorted(sat)),
        tuple((ns / (end - first), ns / number / NS_PER_MS) for ns, number in dom0),
        run / naps / NS_PER_MS if naps else 0.0,
        sleep / naps / NS_PER_MS if naps else 0.0,
        home / run,
        wait / (wait + run),
        _idle_waiting(every, homes, hard=hard) / (wait + run),
        moves * NS_PER_S / (end - first) / len(guests),
    )


def _idle_waiting(every: Iterable[Stay], homes: Mapping[int, int], *, hard: bool) -> int:
    """Time that guests' vCPUs waited while a pCPU that they may use was idle, ns."""
    edges = [(time, sign, s) for s in every for time, sign in ((s.start, 1), (s.end, -1))]
    idle: Counter[int] = Counter()
    waiting: Counter[int] = Counter()
    total, last = 0, 0
    for clock, sign, stay in sorted(edges, key=lambda edge: edge[:2]):
        for node, number in waiting.items():
            if idle[node] if hard else idle.total():
                total += number * (clock - last)
        last = clock
        if stay.who[0] == IDLE_DOMAIN and stay.state == RUNNING:
            idle[stay.pcpu // PER_NODE] += sign
        elif stay.who[0] in homes and stay.state == RUNNABLE:
            waiting[homes[stay.who[0]]] += sign
    return total
