"""The parts behind `/privacy`, opened together: choices, deletion, retention, and cards that are to be edited."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from bot.client import EarshotClient
from bot.erasing import Catcher
from bot.redaction import Redactor
from bot.retention import Retention
from bot.sources.notice import NOTICE, NOTICE_OPT_IN
from bot.storage.consent import SqlConsentStore
from bot.storage.database import Database
from bot.storage.export import SqlExport
from bot.storage.redactions import SqlRedactions
from bot.storage.retention import SqlRetention
from moderation.consent import ConsentMode, ConsentRegister
from moderation.forgetting import ErasureStore, Forget, ForgetRows, Forgetting
from moderation.ports import Evidence
from moderation.privacy import Announcer, PrivacyService
from moderation.sessions import SessionManager
from moderation.shards import Shards

NOTICES = {ConsentMode.OPT_OUT: NOTICE, ConsentMode.OPT_IN: NOTICE_OPT_IN}

Worker = tuple[str, Callable[[], Awaitable[None]], Callable[[], None]]
"""A name, what runs until it is closed, and what closes it."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """What is there before anybody is listened to."""

    register: ConsentRegister
    redactor: Redactor
    retention: Retention
    consent: SqlConsentStore
    exporter: SqlExport
    days: int
    """How long transcripts and alerts are kept at most."""
    shards: Shards

    @classmethod
    async def open(cls, database: Database, client: EarshotClient, days: int) -> Self:
        """Read the choices. Raises `StorageError`. `days`: the operator's limit for transcripts and alerts."""
        shards = client.our_shards
        consent, register = SqlConsentStore(database), ConsentRegister()
        await register.load(consent)
        redactor = Redactor(client, SqlRedactions(database, shards))
        client.add_listener(redactor.hurry, "on_ready")
        retention = Retention(SqlRetention(database, shards=shards), days)
        return cls(register, redactor, retention, consent, SqlExport(database), days, shards)

    def notice(self, guild_id: int) -> str:
        """What the members of that server's channels are told."""
        return NOTICES[self.register.mode(guild_id)]

    def forgetting(self, sources: Mapping[str, Forget], rows: Mapping[str, ForgetRows], erasures: ErasureStore) -> Forgetting:
        """All places, in the order in which they are asked: what makes rows, the cards to edit, the rows that know them."""
        return Forgetting(
            {"choices in memory": self.register.forget, **sources},
            {"posted cards": self.redactor.forget, **rows, "consent": self.consent.forget},
            erasures,
            shards=self.shards,
        )

    def service(self, sessions: SessionManager, evidence: Evidence, announcer: Announcer, forgetting: Forgetting) -> PrivacyService:
        """What the front desk asks."""
        return PrivacyService(
            self.register, self.consent, sessions, evidence, announcer, forgetting=forgetting, exporter=self.exporter, keep_days=self.days
        )

    def workers(self, forgetting: Forgetting) -> Iterator[Worker]:
        """What runs beside everything else."""
        yield "redactor", lambda: self.redactor.run(forgetting.retry), self.redactor.close
        yield "retention", self.retention.run, self.retention.close
        if not self.shards.whole:
            catcher = Catcher(forgetting)
            yield "deletions of other processes", catcher.run, catcher.close
