"""`python -m bot lexicon coverage FILE`: which terms of a lexicon the configured speech model cannot hear."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from bot.core import open_core
from config.settings import Settings
from moderation.hearing import Hearing, HearingReport
from moderation.lexicon_files import load
from moderation.settings import GuildSettings

MAX_SOUNDALIKES = 3
"""Variants that are shown for a term."""


def coverage(path: Path, env_file: Path, *, words: bool) -> int:
    """Write the report to standard output; 0.

    Args:
        path: a JSON lexicon.
        env_file: with settings, such as the model's folder.
        words: show the terms and what sounds alike; without it, lines only.

    Raises `LexiconInvalid` with lines, `ModelMissing` and `InvalidSettings`, each saying what to do.
    """
    return asyncio.run(_coverage(path, env_file, words=words))


async def _coverage(path: Path, env_file: Path, *, words: bool) -> int:
    terms = load(path)
    async with open_core(Settings.load(env_file), lexicon=path) as core:
        hearing = Hearing(core.vocabulary)
        report = await hearing.report(terms, ())
        for line in _counts(report):
            sys.stdout.write(f"{line}\n")
        for each in sorted(report.unheard, key=lambda u: u.term.line):
            line = f"line {each.term.line}: {each.term.category}, severity {each.term.severity}"
            if words:
                heard = await hearing.of(each.term, sounding_severity=GuildSettings(0).alert_severity - 1)
                texts = [*heard.found_as, *(offer.term.term for offer in heard.offers)][:MAX_SOUNDALIKES]
                line += f": {each.term.term} lacks {', '.join(each.words)}; sounds like: {', '.join(texts) or 'nothing known'}"
            sys.stdout.write(f"{line}\n")
    return 0


def _counts(report: HearingReport) -> Iterator[str]:
    if not report.unheard:
        yield f"The speech model can hear all {report.terms:,} terms."
        return
    yield f"The speech model cannot hear {len(report.unheard):,} of {report.terms:,} terms: it lacks a word of each."
    yield "by category: " + ", ".join(f"{category} {count:,}" for category, count in report.by_category)
    yield "by severity: " + ", ".join(f"{severity}: {count:,}" for severity, count in report.by_severity)
