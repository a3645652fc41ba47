"""`/health` and `/ready`: every dependency named, whatever its probe does."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from bot.api import voice_health
from bot.api.app import create_app
from bot.api.health import DEPENDENCIES, Probe, ProbeResult, Readiness, Status
from moderation.detectors.lexicon import LexiconDetector
from moderation.errors import StorageError

pytestmark = pytest.mark.integration


class FakeProbe:
    """Answers as told, and counts."""

    def __init__(self, status: Status = Status.OK, detail: str = "") -> None:
        self.result, self.asked = ProbeResult(status, detail), 0

    async def __call__(self) -> ProbeResult:
        self.asked += 1
        await asyncio.sleep(0)
        return self.result


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def ask(path: str, probes: dict[str, Probe], clock: Callable[[], float] = Clock()) -> tuple[int, dict[str, Any]]:  # noqa: B008
    app = create_app(probes, token=None, max_body=1000, clock=clock)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(path)
        return answer.status, await answer.json()


async def test_health_says_ok_whatever_probes_say() -> None:
    assert await ask("/health", {"vosk": FakeProbe(Status.DOWN)}) == (200, {"status": "ok"})


async def test_every_dependency_is_named_and_what_is_not_used_is_off() -> None:
    status, body = await ask("/ready", {"database": FakeProbe(detail="SQLite")})
    assert status == 200
    assert tuple(body) == DEPENDENCIES
    assert body["database"] == {"status": "ok", "detail": "SQLite"}
    assert body["discord"] == {"status": "off", "detail": "not in use"}


@pytest.mark.parametrize(
    ("status", "code"),
    [(Status.OK, 200), (Status.OFF, 200), (Status.DEGRADED, 200), (Status.DOWN, 503)],
)
async def test_only_what_is_down_makes_it_not_ready(status: Status, code: int) -> None:
    got, body = await ask("/ready", {"vosk": FakeProbe(), "lexicon": FakeProbe(status, "why")})
    assert (got, body["lexicon"]) == (code, {"status": status.value, "detail": "why"})


async def test_what_probes_raise_is_down_and_only_our_own_words_are_told() -> None:
    async def ours() -> ProbeResult:
        raise StorageError("The database is away. Start it.")

    async def theirs() -> ProbeResult:
        raise RuntimeError("password")

    def at_once() -> asyncio.Future[ProbeResult]:
        raise KeyError("password")

    status, body = await ask("/ready", {"database": ours, "vosk": theirs, "discord": at_once})
    assert status == 503
    assert body["database"] == {"status": "down", "detail": "The database is away. Start it."}
    assert body["vosk"]["detail"].startswith("the check failed with RuntimeError")
    assert body["discord"]["detail"].startswith("the check failed with KeyError")
    assert "password" not in str(body)


async def test_a_probe_that_hangs_is_down_and_the_others_are_told() -> None:
    release, started = asyncio.Event(), 0

    async def stubborn() -> ProbeResult:
        nonlocal started
        started += 1
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return ProbeResult(Status.OK)

    clock = Clock()
    readiness = Readiness({"vosk": stubborn, "database": FakeProbe()}, clock, timeout=0.2)
    for _ in range(3):
        found = await readiness.check()
        assert found["vosk"] == ProbeResult(Status.DOWN, "no answer within 0.2 seconds")
        assert found["database"].status is Status.OK
        clock.now += 10
    assert started == 1, "there is never a second one of a probe that hangs"
    release.set()
    await asyncio.sleep(0)
    assert (await readiness.check())["vosk"].status is Status.OK


async def test_a_probe_that_was_too_slow_once_is_asked_anew() -> None:
    delays, ended = [600.0, 0.0], asyncio.Event()

    async def slow() -> ProbeResult:
        try:
            await asyncio.sleep(delays.pop(0))
        finally:
            ended.set()
        return ProbeResult(Status.OK)

    clock = Clock()
    readiness = Readiness({"vosk": slow}, clock, timeout=0.2)
    assert (await readiness.check())["vosk"].status is Status.DOWN
    clock.now += 10
    await ended.wait()
    await asyncio.sleep(0)  # the cancelled one is over
    assert (await readiness.check())["vosk"].status is Status.OK


async def test_answers_are_remembered_for_a_moment_and_a_crowd_asks_once() -> None:
    probe, clock = FakeProbe(), Clock()
    readiness = Readiness({"vosk": probe}, clock, cache=2.0)
    await asyncio.gather(*(readiness.check() for _ in range(20)))
    assert probe.asked == 1
    clock.now += 1.9
    await readiness.check()
    assert probe.asked == 1
    clock.now += 0.1
    await readiness.check()
    assert probe.asked == 2


async def test_what_transcription_works_with(tmp_path: Path) -> None:
    async def serving() -> ProbeResult:
        return ProbeResult(Status.DEGRADED, "away; the lexicon goes on")

    probes: dict[str, Probe] = {"databricks_serving": serving, "vosk": FakeProbe()}
    path = tmp_path / "terms.json"
    path.write_text('[{"term":"mild","type":"word","category":"insult","severity":1}]')
    lexicon = await LexiconDetector.from_file(path)
    routes = voice_health.routes(lexicon, "lexicon+databricks")
    async with TestClient(TestServer(create_app(probes, token=None, max_body=10, routes=routes))) as client:
        told = await (await client.get("/api/voicechat/health/")).json()
        path.unlink()
        later = await (await client.get("/api/voicechat/health/")).json()
    assert told.pop("details")["databricks_serving"] == "degraded: away; the lexicon goes on"
    assert told == {
        "vosk_model_loaded": True,
        "flag_terms_loaded": True,
        "flag_terms_count": 1,
        "flag_terms_path": str(path),
        "flag_terms_path_exists": True,
        "flag_terms_parse_ok": True,
        "flagging_provider": "lexicon+databricks",
        "databricks_reachable": False,
    }
    assert (later["flag_terms_path_exists"], later["flag_terms_loaded"]) == (False, True)
