"""What flags amount to. Pure: the same flags and settings give the same verdict, in whatever order detectors answer."""

from collections.abc import Iterable, Mapping

from moderation.models import Detection, Flag, Level, Verdict
from moderation.settings import GuildSettings

PILE_UP = 2.0
"""Flags that are mild one by one alert when their severities add up to this many times the alert severity."""

_RANK = {Detection.PENDING: 0, Detection.FAILED: 1, Detection.RAN: 2}


def judge(flags: Iterable[Flag], detectors: Mapping[str, Detection], settings: GuildSettings) -> Verdict:
    """The verdict on one segment.

    A flag alerts when it is severe enough (`alert_severity`) and its words were heard clearly (`minimum_confidence`); every
    other flag is for review. Clearly heard mild flags alert together when they pile up.
    """
    unique = tuple(sorted(set(flags), key=_order))
    clear = [f for f in unique if f.confidence >= settings.minimum_confidence]
    severe = [f for f in clear if f.severity >= settings.alert_severity]
    piled_up = sum(f.severity for f in clear) >= PILE_UP * settings.alert_severity
    if severe or piled_up:
        level, bearing = Level.ALERT, severe or clear
    else:
        level, bearing = (Level.REVIEW if unique else Level.NONE), list(unique)
    return Verdict(
        level=level,
        severity=max((f.severity for f in bearing), default=0),
        score=_score(unique),
        confidence=max((f.confidence for f in bearing), default=0.0),
        categories=tuple(sorted({f.category for f in unique})),
        flags=unique,
        detectors=tuple(sorted(detectors.items())),
    )


def merge(a: Verdict, b: Verdict, settings: GuildSettings) -> Verdict:
    """The verdict that both sets of flags amount to. Associative, commutative and idempotent."""
    detectors = dict(a.detectors)
    for name, state in b.detectors:
        detectors[name] = max(state, detectors.get(name, state), key=_RANK.__getitem__)
    return judge((*a.flags, *b.flags), detectors, settings)


def _score(flags: Iterable[Flag]) -> float:
    """The most convinced detector's score; one detector's flags add up, capped at 1 (the scoring of the lexicon)."""
    totals: dict[str, float] = {}
    for flag in flags:
        totals[flag.detector] = min(1.0, totals.get(flag.detector, 0.0) + flag.score)
    return max(totals.values(), default=0.0)


def _order(flag: Flag) -> tuple[object, ...]:
    span = flag.span
    return (span.start_char, span.end_char, flag.detector, flag.category, flag.severity, flag.score, flag.confidence, span.start, span.end)
