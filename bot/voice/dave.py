"""DAVE, Discord's end-to-end encryption, receiving side (DAVE protocol 1.1). The only module of the receive path that knows davey.

    ciphertext | tag 8 | nonce ULEB128 1-5 | (unencrypted ranges: none in Opus) | u8 size of all from the tag on | FA FA

Each sender has its own key in each epoch. davey alone decides which key fits; whether a frame without encryption is legal is decided
here, because davey's passthrough, once opened, stays open.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import davey

from bot.voice.opus import SILENCE

UPGRADE_GRACE = 10.0
"""Seconds after an executed upgrade in which plain frames are still legal: senders change over at their own pace (DAVE protocol)."""

PENDING_TRANSITIONS = 16
"""Announced transitions remembered until they are executed; the oldest is forgotten."""

MARKER = b"\xfa\xfa"
_SMALLEST_SUPPLEMENT = 12
"""Tag 8, nonce 1, the size itself 1, marker 2."""

PROTOCOL_VERSION: int = davey.DAVE_PROTOCOL_VERSION
"""The newest version of the protocol that davey speaks."""

_AUDIO = davey.MediaType.audio


class Refusal(StrEnum):
    """Why a frame was not opened."""

    NO_KEY = "no-key"
    """No key opens it: its epoch is not here yet or long gone, or it is damaged or a replay."""
    NOT_A_MEMBER = "not-a-member"
    """The sender is not in the group of the current epoch."""
    NO_SESSION = "no-session"
    """Encrypted, but there is no DAVE session."""
    PLAIN_EARLY = "plain-early"
    """Not encrypted; a downgrade was announced but not yet executed."""
    PLAIN = "plain"
    """Not encrypted in an encrypted call: anybody on the way could have made it."""
    OTHER = "other"


MAY_OPEN_LATER = frozenset({Refusal.NO_KEY, Refusal.NOT_A_MEMBER, Refusal.NO_SESSION, Refusal.PLAIN_EARLY})
"""What another epoch or an executed transition may cure."""

_BY_TEXT = (
    ("NoValidCryptorFound", Refusal.NO_KEY),
    ("NoDecryptorForUser", Refusal.NOT_A_MEMBER),
    ("UnencryptedWhenPassthroughDisabled", Refusal.PLAIN),
)
"""davey raises ValueErrors that differ in their text alone."""


class FrameRefused(ValueError):
    """A frame that was not opened."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class KeyHolder(Protocol):
    """What is used of a `davey.DaveSession`."""

    def decrypt(self, user_id: int, media_type: davey.MediaType, packet: bytes) -> bytes:
        """The frame's content; a frame that opens does so once. Raises ValueError."""
        ...

    def get_user_ids(self) -> list[str]:
        """Members of the group."""
        ...


class FrameOpener(Protocol):
    """What the receiver asks of end-to-end encryption."""

    def open(self, user_id: int, frame: bytes, now: float) -> bytes:
        """The Opus packet in a frame of that user. Raises `FrameRefused`; a refused frame may be tried again."""
        ...

    def user_ids(self) -> Sequence[int]:
        """Whose frames could be opened, ourselves among them."""
        ...


def is_encrypted(frame: bytes) -> bool:
    """Whether the frame ends like a DAVE frame."""
    return frame[-2:] == MARKER and len(frame) > 2 and _SMALLEST_SUPPLEMENT <= frame[-3] <= len(frame)


class DavePolicy:
    """The protocol version in force, as ops 4, 21, 22, 24, 29 and 30 tell it, and what follows for plain frames."""

    def __init__(self) -> None:
        self.version = 0
        """0: not end-to-end encrypted."""
        self._group_version = 1
        self._pending: dict[int, int] = {}
        self._upgraded_at: float | None = None

    def session_description(self, version: int) -> None:
        """Op 4: a new voice session at that version."""
        self.version = version
        self._group_version = max(version, 1)
        self._pending.clear()
        self._upgraded_at = None

    def prepare_transition(self, transition_id: int, version: int, now: float) -> None:
        """Op 21: another version is to come; id 0: it is here."""
        if transition_id == 0:
            self._change(version, now)
            return
        while len(self._pending) >= PENDING_TRANSITIONS:
            del self._pending[next(iter(self._pending))]
        self._pending[transition_id] = version

    def prepare_epoch(self, version: int) -> None:
        """Op 24: the group of the next epoch is for that version."""
        self._group_version = max(version, 1)

    def execute_transition(self, transition_id: int, now: float) -> None:
        """Op 22. Ids that op 21 did not announce come from ops 29 and 30: a group, so encryption."""
        self._change(self._pending.pop(transition_id, self._group_version), now)

    def _change(self, version: int, now: float) -> None:
        if self.version == 0 and version > 0:
            self._upgraded_at = now
        self.version = version

    def plain_refusal(self, now: float) -> Refusal | None:
        """Why a plain frame is refused now; None when it is legal."""
        if self.version == 0 or (self._upgraded_at is not None and now - self._upgraded_at <= UPGRADE_GRACE):
            return None
        return Refusal.PLAIN_EARLY if 0 in self._pending.values() else Refusal.PLAIN


class FrameDecryptor:
    """Opens frames with whatever DAVE session is in use at that moment: reconnects and moves replace it."""

    def __init__(self, session: Callable[[], KeyHolder | None]) -> None:
        """`session`: the live session, None where there is none. It is asked for each frame."""
        self._session = session
        self.policy = DavePolicy()

    def open(self, user_id: int, frame: bytes, now: float) -> bytes:
        """As `FrameOpener.open`: silence always, plain frames by the policy, encrypted ones by davey."""
        if frame[-2:] != MARKER or not is_encrypted(frame):
            return self._plain(frame, now)
        session = self._session()
        if session is None:
            raise FrameRefused(Refusal.NO_SESSION)
        try:
            return session.decrypt(user_id, _AUDIO, frame)
        except (ValueError, OverflowError) as error:  # the latter: an id of more than 64 bits
            text = str(error)
            raise FrameRefused(next((reason for part, reason in _BY_TEXT if part in text), Refusal.OTHER)) from None

    def _plain(self, frame: bytes, now: float) -> bytes:
        refusal = None if frame == SILENCE else self.policy.plain_refusal(now)
        if refusal is not None:
            raise FrameRefused(refusal)
        return frame

    def user_ids(self) -> Sequence[int]:
        """As `FrameOpener.user_ids`."""
        session = self._session()
        return [int(user_id) for user_id in session.get_user_ids()] if session is not None else []

    def session_description(self, version: int) -> None:
        """Op 4."""
        self.policy.session_description(version)

    def prepare_transition(self, transition_id: int, version: int, now: float) -> None:
        """Op 21."""
        self.policy.prepare_transition(transition_id, version, now)

    def prepare_epoch(self, epoch: int, version: int) -> None:
        """Op 24."""
        self.policy.prepare_epoch(version)

    def execute_transition(self, transition_id: int, now: float) -> None:
        """Op 22."""
        self.policy.execute_transition(transition_id, now)
