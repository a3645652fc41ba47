"""How much of what was said is heard and understood: packet loss, membership churn, and the live path beside replay of the same files.

Coverage is seconds heard ÷ seconds spoken as the senders count them. Word error rate is against the recorded lines' texts; the peer
is the same audio replayed from files, with no network in between.
"""

import asyncio
import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.rows import Row
from bot.sources.replay import Recording, ReplaySource
from bot.speech.vosk import VoskTranscriber
from moderation.models import Session, Speaker
from moderation.pipeline import Pipeline
from moderation.settings import GuildSettings
from tests.scenario import MODEL, Line, Stage, Watcher, conversation, open_stage
from tests.wer import wer

CHANGES = 12
"""Joins and leaves in the churn row: one a second."""


def run() -> list[Row]:
    """Every row plays the conversation once, everybody at the same time."""
    rows = []
    replayed = asyncio.run(_replay())
    for loss in (0.0, 0.02, 0.1):
        coverage, wer = asyncio.run(_live(loss=loss))
        rows.append(Row(f"heard ÷ spoken, {loss:.0%} loss", 100 * coverage, "%"))
        rows.append(Row(f"word error rate, {loss:.0%} loss", 100 * wer, "%", f"replay of the same files {100 * replayed:.2f} %"))
    coverage, _ = asyncio.run(_live(churn=CHANGES))
    rows.append(Row(f"heard ÷ spoken, {CHANGES} joins and leaves", 100 * coverage, "%"))
    return rows


def _together() -> list[Line]:
    """Each speaker's lines one after another, all speakers at once."""
    count: dict[str, int] = defaultdict(int)
    lines = []
    for line in conversation():
        lines.append(replace(line, start=4.5 * count[line.speaker]))
        count[line.speaker] += 1
    return lines


async def _live(loss: float = 0.0, churn: int = 0) -> tuple[float, float]:
    """(coverage, word error rate) of one evening."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage:
            await stage.begin()
            stage.voice.downlink.loss = loss
            async with asyncio.TaskGroup() as group:
                group.create_task(stage.play(_together()))
                group.create_task(_churn(stage, churn))
            await stage.settle()
            await stage.finish()
            heard = sum(c.heard_seconds for c in stage.watcher.coverage)
            spoken = sum(stage.spoken(m.id) for m in stage.members.values())
            return heard / spoken, _wer(stage.watcher)


async def _churn(stage: Stage, changes: int) -> None:
    visitor = stage.discord.add_member(stage.guild, "visitor")
    for n in range(changes):
        await asyncio.sleep(1.0)
        await (stage.discord.voice_leave(visitor) if n % 2 else stage.discord.voice_join(visitor, stage.lobby))


async def _replay() -> float:
    """Word error rate of the same files without a network."""
    ids = {name: n for n, name in enumerate(sorted({line.speaker for line in conversation()}), 1)}
    recordings = [Recording(Speaker(ids[line.speaker], line.speaker), line.path, line.start) for line in conversation()]
    transcriber = VoskTranscriber.load(MODEL)
    session, watcher = Session("replay", 0, 0, datetime.now(UTC)), Watcher()
    await Pipeline(session, transcriber, (), watcher, lambda: GuildSettings(0), lossless=True).run(ReplaySource(recordings))
    await transcriber.aclose()
    return _wer(watcher)


def _wer(watcher: Watcher) -> float:
    """Of each speaker's words in a row."""
    said, heard = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for line in conversation():
        said[line.speaker].append(line.text)
    for name, segment in sorted(watcher.segments, key=lambda item: item[1].start):
        heard[name].append(segment.text)
    return wer([" ".join(said[name]) for name in said], [" ".join(heard[name]) for name in said])
