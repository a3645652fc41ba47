"""What `replay` says about a session: JSON lines for programs, a coloured transcript and a table for people."""

import json
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.commands.replay_news import News
from moderation.events import AlertRaised, AlertRevised, Event, SegmentFlagged, SegmentTranscribed
from moderation.models import Alert, Coverage, Finding, Flag, TranscriptSegment
from moderation.ports import Sink


class Report(Sink, Protocol):
    """A sink that closes with a summary."""

    def summary(self, coverage: Sequence[Coverage], real_time_factor: float) -> None:
        """The session is over. `real_time_factor`: seconds of work for each second of audio."""
        ...


class JsonReport:
    """One JSON object a line: `segment`, `flag`, `alert`, and last `summary`. Times are media seconds, rounded to milliseconds."""

    def __init__(self, write: Callable[[str], None], *, partials: bool = False) -> None:
        """`write` takes one line without its end."""
        self._write = write
        self._partials = partials
        self._news = News()
        self._segments = self._flags = self._alerts = 0

    async def emit(self, event: Event) -> None:
        """Write the lines that the event comes to."""
        match event:
            case SegmentTranscribed(speaker=speaker, segment=segment):
                if segment.final or self._partials:
                    self._segments += segment.final
                    self._line("segment", speaker=speaker.name, **_segment(segment))
            case SegmentFlagged(speaker=speaker, segment=segment, verdict=verdict):
                for flag in self._news.flags(segment, verdict.flags):
                    self._flags += 1
                    self._line("flag", speaker=speaker.name, **_flag(flag))
            case AlertRaised(alert=alert) | AlertRevised(alert=alert):
                for finding in self._news.findings(alert):
                    self._alert(alert, finding)

    def summary(self, coverage: Sequence[Coverage], real_time_factor: float) -> None:
        """Write the last line."""
        for alert, finding in self._news.rest():
            self._alert(alert, finding)
        self._line(
            "summary",
            speakers=len(coverage),
            seconds=_round(sum(c.heard_seconds for c in coverage)),
            segments=self._segments,
            flags=self._flags,
            alerts=self._alerts,
            real_time_factor=_round(real_time_factor),
        )

    def _alert(self, alert: Alert, finding: Finding) -> None:
        self._alerts += 1
        self._line("alert", speaker=alert.speaker.name, **_alert(finding))

    def _line(self, kind: str, **fields: object) -> None:
        self._write(json.dumps({"type": kind, **fields}))


class ConsoleReport:
    """The transcript in the order of the sentences' ends, flagged words marked, alerts beneath, and a table of speakers."""

    def __init__(self, console: Console, *, partials: bool = False) -> None:
        self._console = console
        self._partials = partials
        self._news = News()
        self._alerts: dict[int, int] = {}

    async def emit(self, event: Event) -> None:
        """Print what the event comes to."""
        match event:
            case SegmentTranscribed(speaker=speaker, segment=segment, verdict=verdict) if segment.final or self._partials:
                said = self._marked(segment, verdict.flags) if segment.final else Text(f"{segment.text} …", style="dim")
                self._print(_clock(segment.start), Text(speaker.name, style="cyan"), said)
            case AlertRaised(alert=alert) | AlertRevised(alert=alert):
                for finding in self._news.findings(alert):
                    self._alert(alert, finding)

    def summary(self, coverage: Sequence[Coverage], real_time_factor: float) -> None:
        """Print the table of speakers."""
        for alert, finding in self._news.rest():
            self._alert(alert, finding)
        table = Table("Speaker", title="Session")
        for column in ("Seconds", "Segments", "Flags", "Alerts"):
            table.add_column(column, justify="right")
        for c in coverage:
            alerts = self._alerts.get(c.speaker.id, 0)
            table.add_row(Text(c.speaker.name), f"{c.heard_seconds:.1f}", str(c.segments), str(c.flags), str(alerts))
        seconds = sum(c.heard_seconds for c in coverage)
        self._console.print(table)
        self._console.print(f"{seconds:.1f} s of audio, {real_time_factor:.3f} s of work for each second of it.", highlight=False)

    def _alert(self, alert: Alert, finding: Finding) -> None:
        self._alerts[alert.speaker.id] = self._alerts.get(alert.speaker.id, 0) + 1
        label = Text(f"ALERT {alert.speaker.name}", style="bold red")
        self._print(_clock(finding.segment.start), label, Text(_reason(finding)))

    def _print(self, *parts: str | Text) -> None:
        self._console.print(*parts, highlight=False, markup=False, soft_wrap=True)

    def _marked(self, segment: TranscriptSegment, flags: Sequence[Flag]) -> Text:
        """Flagged words in bold red; between guillemets where there is no colour."""
        text = Text()
        at = 0
        left, right = ("", "") if self._console.is_terminal and not self._console.no_color else ("«", "»")
        for start, end in _spans(flags):
            text.append(segment.text[at:start])
            text.append(f"{left}{segment.text[start:end]}{right}", style="bold red")
            at = end
        return text.append(segment.text[at:])


def _segment(segment: TranscriptSegment) -> dict[str, object]:
    return {
        "start": _round(segment.start),
        "end": _round(segment.end),
        "text": segment.text,
        "final": segment.final,
        "confidence": _round(segment.confidence),
        "words": [
            {"word": w.text, "start": _round(w.start), "end": _round(w.end), "confidence": _round(w.confidence)} for w in segment.words
        ],
    }


def _flag(flag: Flag) -> dict[str, object]:
    return {
        "start": _round(flag.span.start),
        "end": _round(flag.span.end),
        "detector": flag.detector,
        "category": flag.category,
        "severity": flag.severity,
        "score": _round(flag.score),
        "confidence": _round(flag.confidence),
    }


def _alert(finding: Finding) -> dict[str, object]:
    return {
        "start": _round(finding.segment.start),
        "end": _round(finding.segment.end),
        "severity": finding.verdict.severity,
        "categories": list(finding.verdict.categories),
        "reason": _reason(finding),
    }


def _reason(finding: Finding) -> str:
    """Why moderators would be told; never the words themselves."""
    verdict = finding.verdict
    detectors = ", ".join(sorted({f.detector for f in verdict.flags}))
    what = f"{', '.join(verdict.categories)}, severity {verdict.severity} of 10"
    return f"{what}, found by {detectors}, words heard with confidence {verdict.confidence:.2f}"


def _spans(flags: Sequence[Flag]) -> list[tuple[int, int]]:
    """Character ranges of the flags, merged where they overlap."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((f.span.start_char, f.span.end_char) for f in flags):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):02d}:{rest:04.1f}"


def _round(value: float) -> float:
    return round(value, 3)
