"""The live side, opened together: voice calls, what runs in them, who supervises them, and which channels are watched."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bot.background import Background
from bot.client import EarshotClient
from bot.core import Core
from bot.evidence import EvidenceRing
from bot.notices import DiscordNotices
from bot.presence import DiscordPresence
from bot.privacy import Privacy
from bot.remembered import RememberedSettings
from bot.sources.gateway import DiscordVoiceGateway
from bot.storage.statuses import SqlStatuses
from bot.storage.watching import SqlWatchStore
from bot.stores import Stores
from moderation.broadcast import Broadcast
from moderation.models import Session
from moderation.pipeline import Pipeline
from moderation.sessions import SessionManager
from moderation.settings import GuildSettings
from moderation.shedding import Shed, Shedding
from moderation.supervisor import Supervisor
from moderation.watching import Watch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Live:
    """The parts of live listening."""

    gateway: DiscordVoiceGateway
    sessions: SessionManager
    supervisor: Supervisor
    watch: Watch
    shedding: Shedding


async def open_live(
    stack: AsyncExitStack,
    background: Background,
    *,
    client: EarshotClient,
    core: Core,
    stores: Stores,
    events: Broadcast,
    evidence: EvidenceRing,
    private: Privacy,
) -> Live:
    """Complete, but in no call yet; the stack ends the calls, with their last words."""
    shedding = Shedding(_overload)
    gateway = DiscordVoiceGateway(
        client, keep=evidence.keep, accept=private.register.accept, notice=private.notice, keeper=SqlStatuses(stores.database)
    )
    pipelines = _pipelines(core, events, stores.remembered, shedding)
    sessions = await stack.enter_async_context(SessionManager(gateway, pipelines, events))
    gateway.on_moved = sessions.moved
    supervisor = Supervisor(sessions, DiscordNotices(client, stores.remembered.settings, stores.mentions), events)
    events.subscribe(supervisor)
    background.start("supervisor", supervisor.run)
    watch = Watch(sessions, supervisor, DiscordPresence(client), SqlWatchStore(stores.database, client.our_shards))
    events.subscribe(watch)
    background.start("watch", watch.run)
    return Live(gateway, sessions, supervisor, watch, shedding)


def _pipelines(core: Core, events: Broadcast, guilds: RememberedSettings, shedding: Shedding) -> Callable[[Session], Awaitable[Pipeline]]:
    async def make(session: Session) -> Pipeline:
        settings: GuildSettings = await guilds.settings(session.guild_id)
        return Pipeline(session, core.transcriber, core.detectors, events, lambda: settings, gate=core.gate, shedding=shedding)

    return make


def _overload(before: Shed, now: Shed) -> None:
    if now > before:
        log.warning("short of CPU, leaving something out", extra={"left_out": now.name.lower()})
    else:
        log.info("less is left out again", extra={"left_out": now.name.lower()})
