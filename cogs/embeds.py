"""What moderators see: alert cards and status panels. Pure functions from values to embeds."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import discord
from discord.utils import escape_markdown, escape_mentions, format_dt

from moderation.models import Alert, AlertState, Coverage, Detection, Finding, Flag, Session, TranscriptSegment, Verdict
from moderation.shedding import Shed

MAX_FIELD = 1024
"""Characters in an embed field (Discord docs, embed limits)."""
MAX_HEARD = 1500
"""Characters of what was heard: leaves room for the rest within the 6000 an embed may have."""
MAX_TURN = 180
"""Characters of one turn of the context."""
MAX_ROWS = 20
"""Speakers in a status panel."""
AROUND = "Around it"
"""Name of the field with the turns around an alert."""
WELL_HEARD = 0.95
"""Coverage from which the panel is green."""

STATES = {
    AlertState.EARLY: "Early: raised before the sentence ended, the final transcript follows",
    AlertState.CONFIRMED: "Confirmed by the final transcript",
    AlertState.REVISED: "Revised: the final transcript says less than the early alert did",
    AlertState.WITHDRAWN: "Withdrawn: the final transcript does not bear the early alert out",
}
OVERLOAD = {
    Shed.PARTIALS: "This machine is short of CPU: alerts come at the end of a sentence, not before. Nothing else is missed.",
    Shed.SILENCE: "This machine is short of CPU: alerts come at the end of a sentence, and gaps in bad connections are not made up for.",
    Shed.CHANNEL: "**This channel is not heard for now**: this machine is short of CPU, and less was flagged here than in "
    "the other channels it listens to. It listens again by itself; until then, be there yourself. The operator can give the bot more CPU.",
}
"""What moderators need to know while something is left out."""
CLIP_LOST = "No clip: this card could not be posted at once, and the audio, held in memory only, is gone meanwhile."
DETECTIONS = {Detection.RAN: "ran", Detection.PENDING: "still at work", Detection.FAILED: "did not answer"}


def alert_card(alert: Alert, *, clip_lost: bool = False) -> discord.Embed:
    """The card of an alert: who, where, when, what was heard, how sure, what was said around it, which detectors ran.

    `clip_lost`: there should be a clip, and it is gone.
    """
    embed = discord.Embed(title=_title(alert), description=_heard(alert), colour=_colour(alert))
    session = alert.session
    started = session.started_at + timedelta(seconds=alert.evidence_span[0])
    name = f" ({plain(alert.speaker.name)})" if alert.speaker.name else ""
    embed.add_field(name="Who", value=f"<@{alert.speaker.id}>{name}\nID {alert.speaker.id}")
    embed.add_field(name="Where", value=f"<#{session.channel_id}>")
    embed.add_field(
        name="When", value=f"{format_dt(started, 'T')} ({format_dt(started, 'R')})\n{_clock(alert.evidence_span[0])} into the session"
    )
    embed.add_field(name="Category", value=_categories(alert) or "none left")
    embed.add_field(name="Severity", value=f"{alert.severity}/10")
    embed.add_field(name="Confidence", value=_confidence(alert))
    if alert.context:
        embed.add_field(name=AROUND, value=_context(alert), inline=False)
    embed.add_field(name="Detectors", value=_detectors(alert.verdict) or "none", inline=False)
    if clip_lost:
        embed.add_field(name="Evidence", value=CLIP_LOST, inline=False)
    embed.set_footer(text=f"{STATES[alert.state]} · {alert_mark(alert)}")
    return embed


def alert_mark(alert: Alert) -> str:
    """How a card's footer ends: it tells which alert the card is of."""
    return f"alert {alert.reference}"


def masked(segment: TranscriptSegment, flags: Iterable[Flag]) -> str:
    """The segment's text with flagged words in bold behind a spoiler, and everything else defused."""
    spans = {(f.span.start_char, f.span.end_char) for f in flags}
    pieces, at = [], 0
    for start, end in _merged(spans - {(0, len(segment.text))} or spans):  # a mark on all of it says nothing beside others
        pieces += [plain(segment.text[at:start]), "||**", plain(segment.text[start:end]), "**||"]
        at = end
    return "".join([*pieces, plain(segment.text[at:])])


def plain(text: str) -> str:
    """Text that neither formats nor mentions."""
    return escape_mentions(escape_markdown(text))


def status_panel(session: Session, coverage: Sequence[Coverage], shed: Shed = Shed.NOTHING, unheard: Sequence[int] = ()) -> discord.Embed:
    """Who is heard how well, and what is left out now because the machine is overloaded.

    `unheard`: ids of those present who did not agree to be heard.
    """
    heard, spoken = sum(c.heard_seconds for c in coverage), sum(c.spoken_seconds for c in coverage)
    ratio = f"{heard / spoken:.0%}" if spoken else "nobody has spoken yet"
    since = f"In <#{session.channel_id}> since {format_dt(session.started_at, 'R')}."
    good = shed is Shed.NOTHING and (not spoken or heard / spoken >= WELL_HEARD)
    overload = f"\n{OVERLOAD[shed]}" if shed in OVERLOAD else ""
    embed = discord.Embed(
        title="Listening" if shed is not Shed.CHANNEL else "Not listening for now",
        description=f"{since}\nHeard {heard:.0f} s of {spoken:.0f} s spoken: **{ratio}**{overload}",
        colour=discord.Colour.green() if good else discord.Colour.orange(),
    )
    for c in sorted(coverage, key=lambda c: -c.spoken_seconds)[:MAX_ROWS]:
        value = f"heard {c.ratio:.0%} of {c.spoken_seconds:.0f} s\n{c.segments} segments, {c.flags} flags, {c.alerts} alerts"
        if c.shed_seconds >= 1:
            value += f"\n{c.shed_seconds:.0f} s left out: the machine was overloaded"
        embed.add_field(name=plain(c.speaker.name)[:256] or str(c.speaker.id), value=value)
    if unheard:
        more = f" and {len(unheard) - MAX_ROWS} more" if len(unheard) > MAX_ROWS else ""
        names = ", ".join(f"<@{user_id}>" for user_id in unheard[:MAX_ROWS])
        embed.add_field(name="Not heard: opted out, or not opted in", value=f"{names}{more}", inline=False)
    if len(coverage) > MAX_ROWS:
        embed.set_footer(text=f"and {len(coverage) - MAX_ROWS} more speakers")
    return embed


def problem(message: str, title: str = "That did not work") -> discord.Embed:
    """Something could not be done, and what to do about it."""
    return discord.Embed(title=title, description=message[:4000], colour=discord.Colour.red())


def _title(alert: Alert) -> str:
    if alert.state is AlertState.WITHDRAWN:
        return "Withdrawn alert"
    category = _categories(alert) or "alert"
    early = "Early alert: " if alert.state is AlertState.EARLY else ""
    return f"{early}{category}"[:200].capitalize()


def _categories(alert: Alert) -> str:
    return plain(", ".join(alert.categories).replace("_", " "))


def _colour(alert: Alert) -> discord.Colour:
    if alert.state is AlertState.WITHDRAWN:
        return discord.Colour.light_grey()
    if alert.severity >= 7:
        return discord.Colour.red()
    return discord.Colour.orange() if alert.severity >= 4 else discord.Colour.yellow()


def _heard(alert: Alert) -> str:
    lines = [_line(f) for f in alert.findings]
    if alert.grouped_dropped:
        lines.insert(1, f"… and {alert.grouped_dropped} more in between")
    text = "\n".join(lines)
    return text if len(text) <= MAX_HEARD else _cut(text, MAX_HEARD)


def _line(finding: Finding) -> str:
    return f"> {masked(finding.segment, finding.verdict.flags)}"


def _confidence(alert: Alert) -> str:
    if alert.state is AlertState.EARLY:
        return "not known before the final transcript"
    return f"{max(f.verdict.confidence for f in alert.findings):.0%} (how clearly the words were heard)"


def _context(alert: Alert) -> str:
    names = {s.id: s.name for s in alert.speakers}
    start = alert.evidence_span[0]
    lines = []
    for turn in alert.context:
        speaker_id = turn.segment.speaker_id
        who = plain(names.get(speaker_id, "")) or f"<@{speaker_id}>"
        said = _cut(masked(turn.segment, turn.verdict.flags), MAX_TURN)
        lines.append(f"`{turn.segment.start - start:+4.0f} s` **{who}**: {said}")
    while len("\n".join(lines)) > MAX_FIELD:
        lines.pop(0)
    return "\n".join(lines)


def _detectors(verdict: Verdict) -> str:
    return ", ".join(f"{name} {DETECTIONS[state]}" for name, state in verdict.detectors)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    return f"{minutes}:{rest:02d}"


def _cut(text: str, length: int) -> str:
    """At most `length` characters, with spoilers closed."""
    if len(text) <= length:
        return text
    kept = text[: length - 8]
    if kept.count("||") % 2:
        kept += "**||" if kept.count("**") % 2 else "||"
    return kept + " …"


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
