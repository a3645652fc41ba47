"""What the core asks of the world: Protocols of one to four methods, implemented in `bot/` and faked in `tests/fakes.py`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from moderation.events import Event
from moderation.health import CallHealth
from moderation.models import (
    Alert,
    Coverage,
    Flag,
    Hypothesis,
    Score,
    Session,
    SourceItem,
    Speaker,
    TranscriptSegment,
    Verdict,
)
from moderation.notices import Notice
from moderation.products import Product
from moderation.seats import Obstacle, Seat, Watched
from moderation.settings import GuildSettings
from moderation.terms import Term


class AudioSource(Protocol):
    """Per-speaker audio of one session. Iterating ends when the source does; `aclose` may be called at any time, twice."""

    def frames(self) -> AsyncIterator[SourceItem]:
        """Frames in order per speaker, `EndOfSpeech` wherever a speaker pauses. Raises `SourceError` when the source dies."""
        ...

    def speaker(self, speaker_id: int) -> Speaker:
        """Who that is, as far as known."""
        ...

    def spoken_seconds(self, speaker_id: int) -> float:
        """Seconds of speech this speaker is known to have sent, heard or not (for coverage)."""
        ...

    async def aclose(self) -> None:
        """Stop and release everything."""
        ...


class LiveSource(AudioSource, Protocol):
    """A source that is a call going on."""

    def health(self) -> CallHealth:
        """How the connection fares now."""
        ...


class VoiceGateway(Protocol):
    """Joins and leaves voice channels."""

    async def join(self, session: Session) -> LiveSource:
        """Connect, tell the channel's members that the bot listens, and only then listen.

        Raises `VoiceUnavailable` (and says why), `ConsentRequired` when the members could not be told.
        """
        ...


class Recognizer(Protocol):
    """Speech recognition of one speaker's stream. Calls are awaited one after another, never concurrently."""

    async def accept(self, pcm: bytes, *, partials: bool = True) -> Hypothesis | None:
        """Feed 16 kHz mono int16 audio; a final, or a partial where wanted, when there is news, else None. Raises `RecognizerFailed`."""
        ...

    async def finish(self) -> Hypothesis | None:
        """The speaker paused: flush and return the final, None when nothing was said. The recogniser stays usable."""
        ...

    async def aclose(self) -> None:
        """Release it."""
        ...


class Transcriber(Protocol):
    """Makes recognisers; one model per process behind it."""

    async def open(self) -> Recognizer:
        """A recogniser for one live speaker. Raises `RecognizerFailed`."""
        ...

    def hears(self, word: str) -> bool:
        """Whether the model's vocabulary holds the word."""
        ...


class Detector(Protocol):
    """Finds abuse in a segment."""

    @property
    def name(self) -> str:
        """Short, stable, kebab-case; shown on alert cards."""
        ...

    @property
    def live(self) -> bool:
        """Cheap enough to run inline on every partial. Others run beside the track and never delay an alert."""
        ...

    async def detect(self, session: Session, segment: TranscriptSegment) -> Sequence[Flag]:
        """Flags of one segment; empty when there is nothing. Raises `DetectorError`."""
        ...


class Scorer(Protocol):
    """Scores texts for toxicity."""

    @property
    def name(self) -> str:
        """Short, stable, kebab-case."""
        ...

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        """One score a text, in order. Raises `DetectorError`."""
        ...


class Endpoint(Protocol):
    """A model served elsewhere."""

    @property
    def name(self) -> str:
        """Short, stable, kebab-case: the provider."""
        ...

    async def rate(self, text: str) -> tuple[Score, object]:
        """A text's score, and the model's predictions as they came. Raises a kind of `ScoringFailed`."""
        ...

    async def predict(self, rows: Sequence[Mapping[str, object]]) -> object:
        """The model's predictions for records of its own columns, as they came. Raises `InvalidInput`, and a kind of `ScoringFailed`."""
        ...


class Sink(Protocol):
    """Reacts to events. Slow reactions must queue for themselves: the caller waits for `emit`."""

    async def emit(self, event: Event) -> None:
        """Take one event."""
        ...


class AlertDelivery(Protocol):
    """Brings alerts to the moderators."""

    async def post(self, alert: Alert, settings: GuildSettings, clip: bytes | None, *, late: bool = False) -> int | None:
        """Post a new card; its message id, None when the guild has no alert channel. A retry soon after is not a second alert.

        `late`: not the first attempt; where the clip is gone meanwhile, the card says so.
        """
        ...

    async def find(self, alert: Alert, settings: GuildSettings) -> int | None:
        """Look for the card of an alert whose posting was never answered; its message id, None when there is none."""
        ...

    async def edit(self, alert: Alert, settings: GuildSettings, message_id: int, clip: bytes | None) -> None:
        """Bring the card up to date."""
        ...


class NoticeBoard(Protocol):
    """The moderators' channel, for what they must know about the bot itself."""

    async def show(self, notice: Notice, message_id: int | None) -> int | None:
        """Post it, or edit the message that stands; the message's id, None where the guild chose no channel. Raises `DeliveryFailed`."""
        ...


class Presence(Protocol):
    """Who is in which voice channel."""

    def ready(self) -> bool:
        """Whether anything of that is known yet."""
        ...

    def knows(self, guild_id: int) -> bool:
        """Whether it is known of that server."""
        ...

    def people(self, guild_id: int, channel_id: int) -> int:
        """How many people are there, bots not counted; 0 where there is no such channel."""
        ...

    def name(self, guild_id: int, channel_id: int) -> str:
        """The channel's name, empty when unknown."""
        ...

    def obstacle(self, guild_id: int, channel_id: int) -> Obstacle | None:
        """What is known to stand in the way of entering it; None: nothing."""
        ...


class WatchStore(Protocol):
    """Watched channels and seats, over restarts."""

    async def watched(self) -> Sequence[Watched]:
        """All servers' watched channels, each server's in its order."""
        ...

    async def set_watched(self, guild_id: int, channels: Sequence[int]) -> None:
        """These and no others, in this order; what is counted of those that stay is kept."""
        ...

    async def save_counts(self, channels: Sequence[Watched]) -> None:
        """What is counted of them; of those that are watched no more, nothing."""
        ...

    async def seats(self) -> Sequence[Seat]:
        """Where the bot listened when it was last seen."""
        ...

    async def take_seat(self, seat: Seat) -> None:
        """Insert or replace the server's."""
        ...

    async def give_up_seat(self, guild_id: int) -> None:
        """The server has none."""
        ...


class Evidence(Protocol):
    """Recent audio of speakers, for clips."""

    def clip(self, session_id: str, speaker_id: int, start: float, end: float) -> bytes | None:
        """A playable Ogg Opus file of that span (media seconds), None when nothing is held of it."""
        ...

    def drop_session(self, session_id: str) -> None:
        """Drop everything held of that session."""
        ...

    def drop_speaker(self, session_id: str, speaker_id: int) -> None:
        """Drop everything held of that speaker in that session."""
        ...

    def forget(self, speaker_id: int) -> None:
        """Drop everything held of that speaker."""
        ...


class SessionStore(Protocol):
    """Rows of sessions and what was said in them."""

    async def start_session(self, session: Session) -> None:
        """A session began."""
        ...

    async def move_session(self, session: Session) -> None:
        """A session went to another channel, the one that it names."""
        ...

    async def end_session(self, session: Session, ended_at: datetime, reason: str, coverage: Sequence[Coverage]) -> None:
        """A session ended."""
        ...

    async def add_segment(self, session: Session, segment: TranscriptSegment, verdict: Verdict) -> None:
        """A final segment with its flags; the same segment twice is one row."""
        ...

    async def forget(self, user_id: int) -> int:
        """Delete all rows about that user; how many."""
        ...


class AlertStore(Protocol):
    """Rows of alerts."""

    async def save_alert(self, alert: Alert, message_id: int | None) -> None:
        """Insert or update by `alert.id`."""
        ...

    async def recent_alerts(self, guild_id: int, limit: int) -> Sequence[tuple[str, int, str]]:
        """(alert id, speaker id, state), newest first."""
        ...

    async def forget(self, user_id: int) -> int:
        """Delete all rows about that user; how many."""
        ...


class GuildStore(Protocol):
    """Per-guild settings and lexicon terms."""

    async def settings(self, guild_id: int) -> GuildSettings:
        """The guild's settings, defaults where none were saved."""
        ...

    async def save_settings(self, settings: GuildSettings) -> None:
        """Insert or update."""
        ...

    async def terms(self, guild_id: int) -> Sequence[Term]:
        """The guild's own lexicon terms."""
        ...

    async def set_term(self, guild_id: int, term: Term) -> None:
        """Add or replace a term."""
        ...

    async def remove_term(self, guild_id: int, term: str) -> bool:
        """Whether it was there."""
        ...


class TermStore(GuildStore, Protocol):
    """The same, for whoever changes many terms at once."""

    async def change_terms(self, guild_id: int, put: Sequence[Term], remove: Sequence[str]) -> None:
        """Remove terms, then add or replace others: all of it or nothing."""
        ...


class ProductStore(Protocol):
    """Where products are kept, by `name_key`. Every method raises `CatalogueUnavailable` when nothing was done.

    A change whose answer never came raises `OutcomeUnknown`; who cancels a change cannot know either.
    """

    @property
    def name(self) -> str:
        """What it is called before people, such as "Databricks SQL"."""
        ...

    async def prepare(self) -> None:
        """Make what is missing, such as the table. May be called again, and at once by several processes."""
        ...

    async def all(self) -> Sequence[Product]:
        """Every product, ordered by key; the first `MAX_PRODUCTS` where there are more."""
        ...

    async def get(self, key: str) -> Product | None:
        """The product of that key."""
        ...

    async def add(self, product: Product) -> bool:
        """Insert it; False where its key is taken, and then nothing is changed."""
        ...

    async def set_price(self, key: str, price: Decimal) -> Product | None:
        """The product as it is then; None where there is none of that key."""
        ...

    async def remove(self, key: str) -> bool:
        """Whether it was there."""
        ...

    async def aclose(self) -> None:
        """Let go of connections. Twice does no harm."""
        ...
