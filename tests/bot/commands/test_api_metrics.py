"""`/metrics` of `python -m bot api`: all that a process without calls has is measured there, too."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from bot.http_only import open_http_only
from config.settings import FlaggingProvider, Settings
from tests.scenario import MODEL

pytestmark = pytest.mark.integration

VOICE = Path("tests/speech/conversation/ada_01.wav").read_bytes()
NEVER_ZERO = (
    "earshot_decode_seconds_count",
    "earshot_event_loop_lag_seconds_count",
    "earshot_decoded_seconds_total",
    'earshot_recogniser_events_total{event="created"}',
    'earshot_database_seconds_count{operation="read"}',
    'earshot_product_loads_total{outcome="ok"}',
    'earshot_scoring_breaker{state="closed"}',
)
ALSO_THERE = (
    "earshot_feed_recent",
    "earshot_feed_recent_dropped_total",
    'earshot_recognisers{state="open"}',
    "earshot_decode_queue",
    "earshot_products",
    "earshot_scoring_waiting",
)


async def test_what_a_process_without_calls_does_is_measured(tmp_path: Path) -> None:
    settings = Settings(
        database_url=SecretStr(f"sqlite:///{tmp_path}/e.db"),
        earshot_data_dir=tmp_path,
        vosk_model_path=str(MODEL),
        api_port=0,
        databricks_host="https://workspace.invalid",
        databricks_token=SecretStr("a-token"),
        databricks_endpoint="toxicity",
        flagging_provider=FlaggingProvider.LEXICON,
        api_requests_per_minute=0,
    )
    async with (
        open_http_only(settings) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
        client.post("/api/voicechat/transcribe/?stream_id=a", data=VOICE) as heard,
    ):
        assert heard.status == 200
        values: dict[str, float] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                while not all(values.get(name) for name in NEVER_ZERO):
                    values = await figures(client)
                    await asyncio.sleep(0.1)
    assert {name for name in NEVER_ZERO if not values.get(name)} == set()
    assert values.keys() >= set(ALSO_THERE)


async def figures(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as answer:
        return {name: float(value) for name, value in re.findall(r"(?m)^(earshot\S+) (\S+)$", await answer.text())}
