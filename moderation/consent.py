"""Who may be heard: members' choices, servers' modes, and the register that is asked for every packet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from moderation.errors import NotAllowed

MAX_CHOICES = 500_000
"""Choices held in memory, about 50 MB. When full, a member without a choice is told so and the operator must act: none is forgotten."""


class ConsentMode(StrEnum):
    """Who is heard of those who chose nothing."""

    OPT_OUT = "opt-out"
    """Everybody, until they opt out."""
    OPT_IN = "opt-in"
    """Nobody, until they opt in."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a member of a server chose."""

    guild_id: int
    user_id: int
    heard: bool
    """Whether they may be heard there."""
    chosen_at: datetime
    """Wall time, UTC."""


@dataclass(frozen=True, slots=True)
class GuildPrivacy:
    """What a server's moderators chose."""

    guild_id: int
    mode: ConsentMode = ConsentMode.OPT_OUT
    transcript_days: int | None = None
    """Days that transcripts are kept; None: as long as the operator's limit, which none can exceed."""
    alert_days: int | None = None
    """The same for alerts."""


class ConsentStore(Protocol):
    """Rows of choices. Every method may raise `StorageError`."""

    async def choices(self) -> Sequence[Choice]:
        """All there are."""
        ...

    async def save_choice(self, choice: Choice) -> None:
        """Insert or replace."""
        ...

    async def guilds(self) -> Sequence[GuildPrivacy]:
        """All servers whose moderators chose something."""
        ...

    async def guild(self, guild_id: int) -> GuildPrivacy:
        """That server's, defaults where its moderators chose nothing."""
        ...

    async def save_guild(self, privacy: GuildPrivacy) -> None:
        """Insert or replace."""
        ...


class ConsentRegister:
    """The choices in memory. Written by the event loop alone, read by any thread: `accept` is two look-ups and takes no lock."""

    def __init__(self, limit: int = MAX_CHOICES) -> None:
        self._limit = limit
        self._choices: dict[int, dict[int, bool]] = {}
        self._opt_in: frozenset[int] = frozenset()
        self._count = 0
        self.refused = 0
        """Choices that found no room."""

    def __len__(self) -> int:
        return self._count

    async def load(self, store: ConsentStore) -> None:
        """Take over what is stored: before anybody is listened to. Raises `StorageError`, `NotAllowed` when it is too much."""
        for choice in await store.choices():
            self.choose(choice.guild_id, choice.user_id, heard=choice.heard)
        for privacy in await store.guilds():
            self.set_mode(privacy.guild_id, privacy.mode)

    def accept(self, guild_id: int, user_id: int) -> bool:
        """Whether that member may be heard in that server."""
        choices = self._choices.get(guild_id)
        chosen = choices.get(user_id) if choices is not None else None
        return guild_id not in self._opt_in if chosen is None else chosen

    def chosen(self, guild_id: int, user_id: int) -> bool | None:
        """What the member chose, None for nothing."""
        return self._choices.get(guild_id, {}).get(user_id)

    def choose(self, guild_id: int, user_id: int, *, heard: bool) -> None:
        """From now on. Raises `NotAllowed` when there is no room for another choice."""
        if self.chosen(guild_id, user_id) is None:
            if self._count >= self._limit:
                self.refused += 1
                raise NotAllowed(
                    "I cannot remember more choices, so yours is not in force. Tell whoever runs this bot, or leave the channel."
                )
            self._count += 1
        self._choices.setdefault(guild_id, {})[user_id] = heard

    def forget(self, user_id: int) -> int:
        """Drop that user's consent, as the store does; how much. A refusal stays: without it they would be heard again."""
        given = [choices for choices in self._choices.values() if choices.get(user_id)]
        for choices in given:
            del choices[user_id]
        self._count -= len(given)
        return len(given)

    def mode(self, guild_id: int) -> ConsentMode:
        """Who is heard there of those who chose nothing."""
        return ConsentMode.OPT_IN if guild_id in self._opt_in else ConsentMode.OPT_OUT

    def set_mode(self, guild_id: int, mode: ConsentMode) -> None:
        """From now on."""
        self._opt_in = self._opt_in | {guild_id} if mode is ConsentMode.OPT_IN else self._opt_in - {guild_id}
