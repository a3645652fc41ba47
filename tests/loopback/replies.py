"""An interaction from Discord's side, and what the bot made of it as the person sees it."""

import asyncio
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import IntEnum

from tests.loopback.errors import ApiError, unknown
from tests.loopback.state import Attachment, Channel, Json, Message, User

TOKEN_SECONDS = 15 * 60  # how long follow-ups are taken
KEEP_INTERACTIONS = 5000


class Kind(IntEnum):
    """Interaction types."""

    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    MODAL = 5


class Callback(IntEnum):
    """Interaction callback types (https://discord.com/developers/docs/interactions/receiving-and-responding)."""

    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    MODAL = 9


ALLOWED_CALLBACKS = {
    Kind.COMMAND: {Callback.MESSAGE, Callback.DEFERRED_MESSAGE, Callback.MODAL},
    Kind.COMPONENT: {Callback.MESSAGE, Callback.DEFERRED_MESSAGE, Callback.DEFERRED_UPDATE, Callback.UPDATE, Callback.MODAL},
    Kind.AUTOCOMPLETE: {Callback.CHOICES},
    Kind.MODAL: {Callback.MESSAGE, Callback.DEFERRED_MESSAGE, Callback.DEFERRED_UPDATE, Callback.UPDATE},
}


@dataclass(eq=False, slots=True)
class Reply:
    """What the person sees. It stays current: later edits and follow-ups appear in it.

    `message` is the answer (for a button that edits its own message: that message); `edits` the JSON bodies of edits of
    the answer, oldest first; `choices` an autocomplete result; `modal` a modal that was opened.
    """

    user: User
    channel: Channel = field(repr=False)
    callback: Callback | None = None
    message: Message | None = None
    deferred: bool = False
    filled: bool = False
    edits: list[Json] = field(default_factory=list)
    followups: list[Message] = field(default_factory=list)
    choices: list[Json] = field(default_factory=list)
    modal: Json | None = None

    @property
    def content(self) -> str:
        """Text of the answer."""
        return self.message.content if self.message else ""

    @property
    def embeds(self) -> list[Json]:
        """Embeds of the answer."""
        return self.message.embeds if self.message else []

    @property
    def components(self) -> list[Json]:
        """Components of the answer."""
        return self.message.components if self.message else []

    @property
    def attachments(self) -> list[Attachment]:
        """Files of the answer."""
        return self.message.attachments if self.message else []

    @property
    def ephemeral(self) -> bool:
        """Whether only the person sees the answer."""
        return self.message is not None and self.message.ephemeral

    @property
    def deleted(self) -> bool:
        """Whether the bot took the answer back."""
        return self.message is not None and self.message.deleted


@dataclass(eq=False, slots=True)
class Interaction:
    """One interaction the bot was told of."""

    id: int
    kind: Kind
    reply: Reply
    metadata: Json
    source: Message | None = None  # the message whose component was used
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    made: float = field(default_factory=time.monotonic)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Interactions:
    """Open interactions by token; the newest 5000 are known. `deadline`: seconds the bot has for its first answer."""

    def __init__(self) -> None:
        self.deadline = 3.0
        self._by_token: OrderedDict[str, Interaction] = OrderedDict()

    def open(self, interaction: Interaction) -> None:
        """Make an interaction answerable."""
        self._by_token[interaction.token] = interaction
        if len(self._by_token) > KEEP_INTERACTIONS:
            self._by_token.popitem(last=False)

    def to_acknowledge(self, interaction_id: int, token: str) -> Interaction:
        """The interaction for a first answer; 404 10062 when unknown or too late, 400 40060 when it has one."""
        interaction = self._by_token.get(token)
        if interaction is None or interaction.id != interaction_id:
            raise unknown("interaction")
        if interaction.acknowledged.is_set():
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if time.monotonic() - interaction.made > self.deadline:
            raise unknown("interaction")
        return interaction

    def to_follow_up(self, token: str) -> Interaction:
        """The interaction behind a webhook token; 404 10015 before the first answer, 401 50027 after 15 minutes."""
        interaction = self._by_token.get(token)
        if interaction is None or not interaction.acknowledged.is_set():
            raise unknown("webhook")
        if time.monotonic() - interaction.made > TOKEN_SECONDS:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return interaction


def metadata(interaction_id: int, kind: Kind, guild_id: int | None, user_json: Json) -> Json:
    """`interaction_metadata` of the messages that answer it."""
    owner = {"0": str(guild_id or 0)}  # installed in guilds; "0" stands for the DM with the bot
    return {"id": str(interaction_id), "type": int(kind), "user": user_json, "authorizing_integration_owners": owner}
