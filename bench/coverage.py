"""How much of what was said is heard and understood: packet loss, and the live path beside replay of the same files.

Coverage is seconds heard ÷ seconds spoken as the senders count them. Word error rate is against the recorded lines' texts. Live, the
peer is the same audio replayed from files, with no network in between. Under loss one evening of 120 words is a throw of dice, so
several are heard, each with other packets lost, drawn by seed: the real receiver, pipeline and recogniser without sockets or clocks.
The peer there is the same without the voice gate.
"""

import asyncio
import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

from bench.rows import Row
from bot.sources.replay import Recording, ReplaySource
from bot.speech.vosk import VoskTranscriber
from moderation.models import Session, Speaker
from moderation.pipeline import Pipeline
from moderation.settings import GuildSettings
from moderation.vad import VoiceGate
from tests.loss import LINE_SECONDS, errors, evening
from tests.scenario import MODEL, Line, Watcher, conversation, open_stage
from tests.wer import wer

EVENINGS = 20
"""Seeds per loss."""


def run() -> list[Row]:
    """Live, everybody speaks at the same time."""
    rows = []
    replayed = asyncio.run(_replay())
    for loss in (0.0, 0.02, 0.1):
        coverage, wer = asyncio.run(_live(loss=loss))
        rows.append(Row(f"heard ÷ spoken, {loss:.0%} loss", 100 * coverage, "%"))
        if not loss:
            rows.append(Row("word error rate, no loss", 100 * wer, "%", f"replay of the same files {100 * replayed:.2f} %"))
    return rows + asyncio.run(_losses())


async def _losses() -> list[Row]:
    """Word error rates of many evenings, with the voice gate and without."""
    transcriber, rows = VoskTranscriber.load(MODEL, threads=1), []
    for loss in (0.02, 0.1):
        gated: list[float] = []
        ungated: list[float] = []
        for seed in range(EVENINGS):
            items = evening(loss, seed)
            for gate, found in ((VoiceGate, gated), (None, ungated)):
                wrong, words = await errors(transcriber, items, gate)
                found.append(100 * wrong / words)
        ours, peer = mean(gated), mean(ungated)
        spread = f"no gate: {peer:.2f} %; {EVENINGS} evenings, {min(gated):.1f} to {max(gated):.1f} %"
        rows.append(Row(f"word error rate, {loss:.0%} loss", ours, "%", spread, ours / peer))
    await transcriber.aclose()
    return rows


def _together() -> list[Line]:
    """Each speaker's lines one after another, all speakers at once."""
    count: dict[str, int] = defaultdict(int)
    lines = []
    for line in conversation():
        lines.append(replace(line, start=LINE_SECONDS * count[line.speaker]))
        count[line.speaker] += 1
    return lines


async def _live(loss: float) -> tuple[float, float]:
    """(coverage, word error rate) of one evening."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage:
            await stage.begin()
            stage.voice.downlink.loss = loss
            await stage.play(_together())
            await stage.settle()
            await stage.finish()
            heard = sum(c.heard_seconds for c in stage.watcher.coverage)
            spoken = sum(stage.spoken(m.id) for m in stage.members.values())
            return heard / spoken, _wer(stage.watcher)


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
