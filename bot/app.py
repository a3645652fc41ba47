"""The composition root: the only file that names concrete classes. Read `moderation/pipeline.py` first, then this.

    settings ─▶ open_application() ─▶ Application: client, services, events ─▶ connect()

One AsyncExitStack opens everything and closes it in reverse: commands stop first, then sessions finish their last words, then
alerts and rows are written out, then the connections close. One TaskGroup holds everything that runs.
"""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from discord.ext import commands
from pydantic import SecretStr

from bot.alerts import AlertDispatcher
from bot.api.app import create_app, serve
from bot.client import EarshotClient
from bot.core import Core, open_core
from bot.delivery import DiscordAlertDelivery
from bot.evidence import EvidenceRing
from bot.journal import Journal
from bot.metrics.calls import Calls
from bot.metrics.delivery import MeteredDelivery
from bot.metrics.metrics import Metrics
from bot.metrics.readings import Parts
from bot.notices import DiscordNotices
from bot.pending import MAX_PENDING
from bot.presence import DiscordPresence
from bot.privacy import Privacy
from bot.probes import probes
from bot.recorder import Recorder
from bot.remembered import RememberedSettings
from bot.sources.files import decode
from bot.sources.gateway import DiscordVoiceGateway
from bot.storage.alerts import SqlAlertStore
from bot.storage.database import Database
from bot.storage.guilds import SqlGuildStore
from bot.storage.migrate import upgrade
from bot.storage.outbox import SqlOutbox
from bot.storage.sessions import SqlSessionStore
from bot.storage.watching import SqlWatchStore
from bot.voice.opus import load_for_discord
from bot.writing import RecordWriter
from cogs.alerts import Alerts
from cogs.lexicon import Lexicon
from cogs.privacy import Privacy as PrivacyCog
from cogs.voice import Voice
from config.settings import LEXICON_PRESETS, Settings
from moderation.audio_trial import AudioTrial
from moderation.broadcast import Broadcast
from moderation.detectors.lexicon import LexiconDetector
from moderation.errors import LexiconInvalid
from moderation.hearing import Hearing
from moderation.lexicon_files import load
from moderation.lexicon_service import LexiconService
from moderation.models import Session
from moderation.pipeline import Pipeline
from moderation.privacy import Forgetting
from moderation.services import Services
from moderation.sessions import SessionManager
from moderation.settings import GuildSettings
from moderation.shedding import Shed, Shedding
from moderation.supervisor import Supervisor
from moderation.term_exchange import TermExchange
from moderation.terms import Term
from moderation.watching import Watch

log = logging.getLogger(__name__)

DRAIN_SECONDS = 5.0
"""Seconds that alerts and rows still waiting have at shutdown."""
CATCH_UP_SECONDS = 5.0
"""How long a deletion waits for rows that are being written."""
LEXICON_POLL_SECONDS = 2.0
"""How often the lexicon file is looked at for changes."""
MAX_LOGIN_PAUSE = 60.0
"""Longest pause, in seconds, between attempts to reach Discord."""


@dataclass(frozen=True, slots=True)
class Application:
    """The running bot. `run` and the demo use this very object; only the connector differs."""

    client: EarshotClient
    services: Services
    events: Broadcast
    dispatcher: AlertDispatcher
    recorder: Recorder
    core: Core
    evidence: EvidenceRing
    forgetting: Forgetting
    api_port: int
    """The bound port."""

    async def connect(self, token: str) -> None:
        """Log in and stay connected until closed. Raises `discord.LoginFailure` when Discord refuses the token."""
        pause = 1.0
        while not self.client.is_closed():
            try:
                await self.client.login(token)
                await self.client.connect()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("Discord cannot be reached, trying again", extra={"seconds": pause, "error": type(error).__name__})
                self.client.drop_session()
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_LOGIN_PAUSE)
            except RuntimeError:  # aiohttp's, when the client was closed in mid-attempt
                if not self.client.is_closed():
                    raise


@asynccontextmanager
async def open_application(settings: Settings, *, connector: aiohttp.BaseConnector | None = None) -> AsyncIterator[Application]:
    """Open everything; the bot is complete but not connected yet.

    Args:
        settings: checked already.
        connector: aiohttp's, for all traffic to Discord; None for discord.py's own.

    Raises `ModelMissing`, `LexiconInvalid`, `StorageError`, each saying what to do.
    """
    load_for_discord()
    async with AsyncExitStack() as stack:
        database = await Database.open(_reveal(settings.database_url))
        stack.push_async_callback(database.aclose)
        await upgrade(database)
        guilds, alerts, rows = SqlGuildStore(database), SqlAlertStore(database), SqlSessionStore(database)
        outbox, remembered = SqlOutbox(database), RememberedSettings(guilds)
        journal = await asyncio.to_thread(Journal, settings.earshot_data_dir / "journal.jsonl")
        recorder = Recorder(RecordWriter(rows, alerts, outbox), journal)
        await recorder.recover()
        await rows.close_stale(datetime.now(UTC))
        core = await stack.enter_async_context(open_core(settings, terms_of=guilds.terms))
        evidence = EvidenceRing(seconds=settings.earshot_evidence_seconds)

        events = Broadcast()
        client = EarshotClient(lambda _: _cogs(services), connector)
        private = await Privacy.open(database, client, settings.earshot_retention_days)
        delivery = DiscordAlertDelivery(client)
        metrics = Metrics(lambda: core.lexicon.lexicon.categories)
        dispatcher = AlertDispatcher(MeteredDelivery(delivery, metrics.meters.delivered), evidence, remembered.settings, recorder)
        dispatcher.resume(await outbox.pending(MAX_PENDING))
        client.add_listener(dispatcher.hurry, "on_ready")
        client.add_listener(dispatcher.hurry, "on_resumed")
        events.subscribe(dispatcher)
        events.subscribe(recorder)
        events.subscribe(private.retention)

        group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.push_async_callback(client.close)
        _background(group, stack, "recorder", recorder.run, recorder.close)
        _background(group, stack, "alerts", dispatcher.run, dispatcher.close)
        _background(group, stack, "lexicon", lambda: _poll(core.lexicon), None)
        _background(group, stack, "event loop lag", metrics.meters.watch_loop, None)
        shedding = Shedding(_overload)
        gateway = DiscordVoiceGateway(client, keep=evidence.keep, accept=private.register.accept, notice=private.notice)
        sessions = await stack.enter_async_context(
            SessionManager(gateway, _pipelines(core, events, remembered, shedding), events),
        )
        supervisor = Supervisor(sessions, DiscordNotices(client, guilds), events)
        events.subscribe(supervisor)
        _background(group, stack, "supervisor", supervisor.run, None)
        watch = Watch(sessions, supervisor, DiscordPresence(client), SqlWatchStore(database))
        events.subscribe(watch)
        _background(group, stack, "watch", watch.run, None)
        calls = Calls(sessions.running)
        metrics.watch(Parts(calls, core.transcriber, dispatcher, recorder, events, shedding), database)
        forgetting = private.forgetting(
            {
                "running sessions": sessions.forget,
                "figures": metrics.meters.forget,
                "audio in memory": evidence.forget,
                "alerts under way": dispatcher.forget,
                "rows under way": lambda user_id: recorder.caught_up(CATCH_UP_SECONDS),
            },
            {
                "rows still queued": recorder.forget,
                "the outbox": outbox.forget,
                "alerts": alerts.forget,
                "transcripts": rows.forget,
            },
        )
        for name, run, close in private.workers(forgetting):
            _background(group, stack, name, run, close)
        services = Services(
            sessions,
            supervisor,
            watch,
            guilds,
            alerts,
            delivery,
            *_lexicon_services(core, guilds),
            private.service(sessions, evidence, gateway, forgetting),
        )
        checks = probes(client=client, core=core, database=database, recorder=recorder, dispatcher=dispatcher)
        api = create_app(
            checks,
            token=_reveal(settings.api_token) or None,
            max_body=int(settings.api_max_body_mb * 1_000_000),
            render=metrics.render,
            answered=metrics.meters.answered,
        )
        port = await stack.enter_async_context(serve(api, settings.api_host, settings.api_port))
        yield Application(client, services, events, dispatcher, recorder, core, evidence, forgetting, port)


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


def _lexicon_services(core: Core, guilds: SqlGuildStore) -> tuple[LexiconService, TermExchange, AudioTrial]:
    def shared() -> Sequence[Term]:
        return load(core.lexicon.path) if core.lexicon.path is not None else ()

    return (
        LexiconService(guilds, core.lexicon, core.detectors, Hearing(core.vocabulary), shared),
        TermExchange(guilds, core.lexicon, LEXICON_PRESETS),
        AudioTrial(core.transcriber, core.detectors, guilds, lambda data, name: decode(io.BytesIO(data), name)),
    )


def _cogs(services: Services) -> Sequence[commands.Cog]:
    return Voice(services), Alerts(services), Lexicon(services), PrivacyCog(services.privacy)


def _background(
    group: asyncio.TaskGroup, stack: AsyncExitStack, name: str, run: Callable[[], Awaitable[None]], close: Callable[[], None] | None
) -> None:
    """Run it until the stack unwinds; then let it finish what waits, for a while."""

    async def work() -> None:
        await run()

    task = group.create_task(work(), name=name)

    async def stop() -> None:
        if close is not None:
            close()
            await asyncio.wait({task}, timeout=DRAIN_SECONDS)
        task.cancel()

    stack.push_async_callback(stop)


async def _poll(lexicon: LexiconDetector) -> None:
    """Take over a changed lexicon file; a bad one is refused and the old one stays."""
    while True:
        await asyncio.sleep(LEXICON_POLL_SECONDS)
        try:
            await lexicon.refresh()
        except LexiconInvalid as error:
            log.error(
                "the changed lexicon is refused, the old one stays",
                extra={"problems": len(error.problems), "first": str(error.problems[0])},
            )


def _reveal(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""
