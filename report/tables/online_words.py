"""Sentences that tables and figures of replays and online comparisons share."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace.models.fleet import Fleet
from numaplace.models.trace import MS_PER_S, Trace
from numaplace.report.tables import words
from numaplace.report.tables.online_summary import LoadSummary, ReplaySummary

NOTHING_COMPARED = "Nothing was compared: no policy ran on any window."
NOTHING_REPLAYED = "Nothing was replayed."

UNITS_S = {"days": 86_400, "hours": 3_600, "minutes": 60}


def percent(share: float) -> str:
    """Percent with two decimals; never rounded to zero."""
    return "<0.01" if 0 < share < 0.00005 else f"{100 * share:.2f}"


def micros(micros: float) -> str:
    """Time of a decision in microseconds: whole ones from 10 on."""
    return f"{micros:.1f}" if micros < 10 else f"{micros:.0f}"


def load_words(load: float | None) -> str:
    """Title of a load."""
    return "Load as it is" if load is None else f"Load {load:g}"


def proof_words(summary: LoadSummary) -> str:
    """How many optima are proven, and what the gaps are if not all."""
    parts: list[str] = []
    for goal, count in summary.solved.items():
        windows = "" if parts else " windows" if count > 1 else " window"
        parts.append(f"{goal} {summary.proven[goal]}/{count}{windows}")
    text = f"optimum proven: {', '.join(parts)}"
    if all(summary.proven[goal] == count for goal, count in summary.solved.items()):
        return f"{text}; gaps are exact"
    return f"{text}; gaps to what is not proven are upper limits"


def missing_words(jobs: int) -> str:
    """What to do about jobs that were left out."""
    were = "job was" if jobs == 1 else "jobs were"
    return f"{jobs} {were} not run: the same command goes on with them"


def time_unit(span_ms: int) -> tuple[str, int]:
    """Unit that a span of time reads best in, with its milliseconds."""
    for unit, seconds in UNITS_S.items():
        if span_ms >= 2 * seconds * MS_PER_S:
            return unit, seconds * MS_PER_S
    return "seconds", MS_PER_S


def trace_words(trace: Trace, fleet: Fleet) -> str:
    """What arrives, in which time, on which hosts."""
    text = words.plural(len(trace), "VM")
    if len(trace) > 1:
        span_ms = int(trace.start_ms[-1] - trace.start_ms[0])
        unit, unit_ms = time_unit(span_ms)
        text += f" that arrive within {span_ms / unit_ms:.3g} {unit}"
    return f"{text}, on {fleet}"


def stopped_words(found: Sequence[ReplaySummary]) -> list[str]:
    """Which replays did not come to their end."""
    return [
        f"{each.policy} was stopped after {each.seen} of {words.plural(each.vms, 'VM')}"
        for each in found
        if not each.complete
    ]
