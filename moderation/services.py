"""What the front desks (slash commands, HTTP) may ask for. The same objects serve both doors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moderation.audio_trial import AudioTrial
from moderation.catalogue import Catalogue
from moderation.lexicon_service import LexiconService
from moderation.ports import AlertDelivery, AlertStore, GuildStore
from moderation.predictor import Predictor
from moderation.privacy import PrivacyService
from moderation.sessions import SessionManager
from moderation.supervisor import Supervisor
from moderation.term_exchange import TermExchange
from moderation.watching import Watch


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a front desk may use."""

    sessions: SessionManager
    supervisor: Supervisor
    watch: Watch
    guilds: GuildStore
    alerts: AlertStore
    delivery: AlertDelivery
    lexicon: LexiconService
    exchange: TermExchange
    audio: AudioTrial
    privacy: PrivacyService
    catalogue: Catalogue
    predictor: Predictor
    troubles: Callable[[], Sequence[str]]
    """What of the bot is away now, a sentence each, for moderators."""
