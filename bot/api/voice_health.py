"""`GET /api/voicechat/health/`: what the transcription of this process works with."""

import asyncio

from aiohttp import web
from pydantic import BaseModel, Field

from bot.api.health import READINESS, Status
from bot.api.routes import Route, answer
from moderation.detectors.lexicon import LexiconDetector

WORKING = (Status.OK, Status.DEGRADED)


class VoiceHealth(BaseModel):
    """Names as clients of the first version know them."""

    vosk_model_loaded: bool
    flag_terms_loaded: bool
    flag_terms_count: int
    flag_terms_path: str
    flag_terms_path_exists: bool
    flag_terms_parse_ok: bool = Field(description="Whether the file, as it stands now, can be used; else the terms before it are in force.")
    flagging_provider: str
    databricks_reachable: bool = Field(description="False also where something else stands in for it, and where it is not set up.")
    details: dict[str, str] = Field(description="Dependency → what is to be said about it.")


def routes(lexicon: LexiconDetector, provider: str) -> list[Route]:
    """The address. `provider`: `lexicon`, `databricks` or `lexicon+databricks`."""

    async def health(request: web.Request) -> web.Response:
        found = await request.app[READINESS].check()
        databricks = [found[name].status for name in ("databricks_sql", "databricks_serving") if found[name].status is not Status.OFF]
        path = lexicon.path
        return answer(
            VoiceHealth(
                vosk_model_loaded=found["vosk"].status in WORKING,
                flag_terms_loaded=len(lexicon.lexicon) > 0,
                flag_terms_count=len(lexicon.lexicon),
                flag_terms_path=str(path or ""),
                flag_terms_path_exists=path is not None and await asyncio.to_thread(path.exists),
                flag_terms_parse_ok=lexicon.parse_ok,
                flagging_provider=provider,
                databricks_reachable=bool(databricks) and all(s is Status.OK for s in databricks),
                details={name: f"{result.status}: {result.detail}" for name, result in found.items()},
            )
        )

    return [Route("GET", "/api/voicechat/health/", health, "What transcription works with.", {200: [VoiceHealth]}, tag="health")]
