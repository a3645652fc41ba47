"""How the demos show what the bot notices: transcripts as they grow, flags, alerts and cards."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from moderation.events import AlertRaised, AlertRevised, Event, SegmentFlagged, SegmentTranscribed, SpeakerHeard
from moderation.models import AlertState, Flag, TranscriptSegment
from tests.loopback.state import Attachment, Message

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red")


class Display:
    """Shows events on a terminal. A partial is the last, dim line and is replaced as it grows; a pipe gets finals only."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._colours: dict[int, str] = {}
        self._partials: dict[int, Text] = {}
        self._states: dict[str, AlertState] = {}
        self._live = console.status("") if console.is_terminal else None

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    async def emit(self, event: Event) -> None:
        """Show one event."""
        match event:
            case SpeakerHeard(_, speaker):
                self._colours.setdefault(speaker.id, COLOURS[len(self._colours) % len(COLOURS)])
            case SegmentTranscribed(_, speaker, segment, verdict):
                line = self._line(speaker.id, speaker.name, segment, verdict.flags)
                if segment.final:
                    self._partials.pop(speaker.id, None)
                    self._console.print(line)
                else:
                    self._partials[speaker.id] = line
                self._refresh()
            case SegmentFlagged(_, _, _, verdict):
                found = ", ".join(f"{f.category.replace('_', ' ')} {f.severity}/10 ({f.confidence:.0%})" for f in verdict.flags)
                self._console.print(Text(f"{'':15}└ flag: {found}", style="red"))
            case AlertRaised(alert):
                when = "EARLY ALERT" if alert.state is AlertState.EARLY else "ALERT"
                what = f"{alert.speaker.name}, {', '.join(alert.categories).replace('_', ' ')}, severity {alert.severity}/10"
                self._console.print(Text(f"{'':15}└ {when}: {what}", style="bold red"))
                self._states[alert.id] = alert.state
            case AlertRevised(alert) if self._states.get(alert.id) is not alert.state:
                self._console.print(Text(f"{'':15}└ alert {alert.state}", style="yellow"))
                self._states[alert.id] = alert.state
            case _:
                pass

    def _line(self, speaker_id: int, name: str, segment: TranscriptSegment, flags: tuple[Flag, ...]) -> Text:
        minutes, seconds = divmod(segment.start, 60)
        line = Text(f"{int(minutes)}:{seconds:04.1f}  ", style="dim")
        line.append(f"{name:>6}  ", style=f"bold {self._colours.get(speaker_id, 'white')}")
        words = Text(segment.text, style="" if segment.final else "dim italic")
        for flag in flags:
            words.stylize("bold white on red", flag.span.start_char, flag.span.end_char)
        return line + words

    def _refresh(self) -> None:
        if self._live:
            self._live.update(Text("\n").join(self._partials.values()) if self._partials else "listening …")


def card(message: Message) -> Group:
    """A message of the moderators' channel as people see it there."""
    return Group(*(_panel(embed, message.attachments) for embed in message.embeds))


def _panel(embed: dict[str, Any], attachments: Sequence[Attachment]) -> Panel:
    rows = [Text(embed.get("description", "")), Text()]
    rows += [_field(f["name"], f["value"]) for f in embed["fields"]]
    rows += [Text.assemble(("Evidence: ", "bold"), f"{a.filename}, {len(a.data) / 1024:.1f} KiB") for a in attachments]
    footer = embed["footer"]["text"]
    return Panel(Text("\n").join(rows), title=embed["title"], subtitle=footer, title_align="left", border_style="red")


def _field(name: str, value: str) -> Text:
    lines = value.replace("`", "").split("\n")
    joined = " · ".join(lines) if len(lines) < 3 else "".join(f"\n  {line}" for line in lines)
    return Text.assemble((f"{name}: ", "bold"), joined)
