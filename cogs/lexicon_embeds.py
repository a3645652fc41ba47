"""What moderators read about their terms. Pure functions from values to texts and embeds; terms stand behind spoilers only."""

from collections.abc import Sequence

import discord

from cogs.embeds import masked, plain
from moderation.audio_trial import MAX_SECONDS, AudioRun
from moderation.hearing import Heard, HearingReport, Offer, UnheardTerm
from moderation.lexicon_service import DryRun
from moderation.models import Flag, Level, TranscriptSegment
from moderation.term_exchange import Change
from moderation.terms import Term

MAX_SHOWN = 10
"""Changed terms that a preview shows."""
MAX_FLAGS = 12
"""Flags that a dry run explains; with them and the transcript an embed stays within the 6000 characters that it may have."""
MAX_TEXT = 2500
"""Characters of a transcript."""

_CAUTION = (
    "Other words are added at a severity that does not alert by itself, because most people who say them mean them; `/lexicon add` "
    "with one of them sets another."
)
_OUTCOMES = {Level.NONE: "would not flag", Level.REVIEW: "would be noted for review, no alert", Level.ALERT: "would alert"}


def dry_run(run: DryRun) -> discord.Embed:
    """What a text would come to."""
    embed = discord.Embed(title=f"This {_OUTCOMES[run.verdict.level]}", description=masked(run.segment, run.verdict.flags)[:MAX_TEXT])
    for flag in run.verdict.flags[:MAX_FLAGS]:
        _add_flag(embed, run.segment, flag, "")
    embed.set_footer(text=f"Score {run.verdict.score:.2f}")
    return embed


def audio_run(run: AudioRun) -> discord.Embed:
    """What a recording would come to: transcript, why, and how clearly the words were heard."""
    lines: list[str] = []
    for each in run.sentences:
        line = f"`{each.segment.start:5.1f} s` {masked(each.segment, each.verdict.flags)}"
        if sum(map(len, lines)) + len(line) > MAX_TEXT:
            lines.append("… and more")
            break
        lines.append(line)
    nothing = "No words were recognised. Is somebody speaking, in the language of the speech model?"
    embed = discord.Embed(title=f"This {_OUTCOMES[run.level]}", description="\n".join(lines) or nothing)
    flags = [(s.segment, f) for s in run.sentences for f in s.verdict.flags]
    for segment, flag in flags[:MAX_FLAGS]:
        _add_flag(embed, segment, flag, f", heard with confidence {flag.confidence:.0%}")
    embed.set_footer(text=" ".join(_notes(run, len(flags))))
    return embed


def _notes(run: AudioRun, flags: int) -> list[str]:
    notes = [f"{run.seconds:.1f} s of audio listened to; nobody was alerted and nothing is kept."]
    if run.cut:
        notes.append(f"The recording is longer than {MAX_SECONDS:.0f} s: the rest was left out.")
    if run.damage:
        notes.append(run.damage)
    if flags > MAX_FLAGS:
        notes.append(f"{flags - MAX_FLAGS} more flags are not shown.")
    return notes


def heard_embed(heard: Heard) -> discord.Embed:
    """That a term cannot be heard, and what can be done about it."""
    words = ", ".join(f"||{plain(word)[:60]}||" for word in heard.unheard[:5])
    lines = [f"Its vocabulary lacks {words}, so it never writes the term down, however often somebody says it."]
    if heard.found_as:
        lines.append(f"It flags all the same where the model writes {_list(heard.found_as[:3])}.")
    if heard.offers:
        lines += ["These sound alike, and the model knows them:", *(f"• {_offer(offer)}" for offer in heard.offers), _CAUTION]
    elif not heard.found_as:
        lines.append("Nothing that the model knows sounds enough like it. A larger speech model knows more words.")
    if heard.common_only:
        lines.append("This model does not list its words: only everyday English ones were looked at.")
    title = "The speech model cannot hear this term as it is written"
    return discord.Embed(title=title, description="\n".join(lines), colour=discord.Colour.orange())


def _offer(offer: Offer) -> str:
    letters = "the same letters" if offer.same_letters else "other words"
    severity = "" if not offer.term.category else f", severity {offer.term.severity}"
    return f"||{plain(offer.term.term)}|| ({letters}{severity})"


def coverage_embed(report: HearingReport, shown: Sequence[UnheardTerm], page: str) -> discord.Embed:
    """Counts, and one page of the terms that cannot be heard."""
    missing = len(report.unheard)
    if not missing:
        text = f"The speech model knows every word of all {report.terms:,} terms."
        return discord.Embed(title="Every term can be heard", description=text, colour=discord.Colour.green())
    title = f"{missing:,} of {report.terms:,} terms cannot be heard as they are written"
    intro = "The speech model lacks a word of each, so it never writes them. `/lexicon add` with such a term offers what sounds alike.\n\n"
    embed = discord.Embed(title=title, description=intro + "\n".join(map(_unheard, shown)), colour=discord.Colour.orange())
    embed.add_field(name="By category", value="\n".join(f"{plain(c)[:50]}: {n:,}" for c, n in report.by_category[:9]) or "none")
    embed.add_field(name="By severity", value="\n".join(f"{s}: {n:,}" for s, n in report.by_severity))
    embed.set_footer(text=page)
    return embed


def _unheard(each: UnheardTerm) -> str:
    whose = "own" if each.own else "shared"
    words = ", ".join(each.words)
    lacking = f" lacks ||{plain(words[:40])}||" if words != each.term.term.lower() else ""
    return f"||{plain(each.term.term[:60])}||{lacking} ({plain(each.term.category[:20])}, severity {each.term.severity}, {whose})"


def change_embed(change: Change, left_out: int, what: str) -> discord.Embed:
    """What an import would do."""
    counts = f"{len(change.added):,} added, {len(change.replaced):,} replaced, {change.unchanged:,} unchanged"
    lines = [f"+ {_term(term)}" for term in change.added] + [f"± {_term(new)}, was {_kind(old)}" for old, new in change.replaced]
    text = "\n".join(lines[:MAX_SHOWN]) + (f"\n… and {len(lines) - MAX_SHOWN:,} more" if len(lines) > MAX_SHOWN else "")
    title = f"{what} would change {len(lines):,} terms" if lines else f"{what} changes nothing"
    nothing = "This server has all of its terms already." if change.unchanged else "There are no terms in it."
    embed = discord.Embed(title=title, description=text or nothing)
    embed.add_field(name="Terms", value=counts)
    if left_out:
        embed.add_field(name="Left out", value=f"{left_out:,} that repeat another or are only digits")
    return embed


def _term(term: Term) -> str:
    return f"||{plain(term.term[:60])}|| {_kind(term)}"


def _kind(term: Term) -> str:
    return f"{term.type}, {plain(term.category)[:50]}, severity {term.severity}" if term.category else str(term.type)


def _add_flag(embed: discord.Embed, segment: TranscriptSegment, flag: Flag, more: str) -> None:
    words = plain(segment.text[flag.span.start_char : flag.span.end_char])[:60]
    embed.add_field(name=f"{plain(flag.category)[:50]}, severity {flag.severity}", value=f"||{words}|| by {flag.detector}{more}")


def _list(texts: Sequence[str]) -> str:
    return " or ".join(f"||{plain(text[:60])}||" for text in texts)
