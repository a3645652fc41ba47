"""Opcodes of the voice gateway (version 8), and what a call asks of those in it."""

from enum import IntEnum
from typing import Protocol


class Op(IntEnum):
    """Voice gateway opcodes (Discord docs, Voice Opcodes; 11, 15, 16, 18 and 20 as clients see them)."""

    IDENTIFY = 0
    SELECT_PROTOCOL = 1
    READY = 2
    HEARTBEAT = 3
    SESSION_DESCRIPTION = 4
    SPEAKING = 5
    HEARTBEAT_ACK = 6
    RESUME = 7
    HELLO = 8
    RESUMED = 9
    CLIENTS_CONNECT = 11
    VIDEO = 12
    CLIENT_DISCONNECT = 13
    MEDIA_SINK_WANTS = 15
    VERSIONS = 16
    CLIENT_FLAGS = 18
    CLIENT_PLATFORM = 20
    PREPARE_TRANSITION = 21
    EXECUTE_TRANSITION = 22
    TRANSITION_READY = 23
    PREPARE_EPOCH = 24
    EXTERNAL_SENDER = 25
    KEY_PACKAGE = 26
    PROPOSALS = 27
    COMMIT_WELCOME = 28
    ANNOUNCE_COMMIT = 29
    WELCOME = 30
    INVALID_COMMIT = 31


class Peer(Protocol):
    """Somebody in a call: a client's voice session or an emulated human."""

    @property
    def user_id(self) -> int: ...

    @property
    def is_human(self) -> bool: ...

    def send(self, op: Op, data: object) -> None:
        """Send a JSON opcode."""

    def send_binary(self, op: Op, body: bytes) -> None:
        """Send a binary opcode."""


class Timer(Protocol):
    """What a scheduler gives back."""

    def cancel(self) -> None: ...
