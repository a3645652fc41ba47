"""What a voice server counted."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class HumanStats:
    """What one human sent."""

    packets: int = 0
    """Audio packets, silence included."""
    seconds: float = 0.0
    """Of speech: 20 ms per packet that is not silence."""
    padded: int = 0
    silence: int = 0
    encrypted: int = 0
    """Frames under DAVE."""
    plain: int = 0
    """Frames without DAVE (version 0, or injected)."""
    unsent: int = 0
    """Frames that had no key to be sent under."""


@dataclass
class ClientStats:
    """What one user's voice client sent and was sent, over all its connections."""

    connections: int = 0
    """Voice websockets that identified."""
    resumes: int = 0
    packets: int = 0
    """RTP packets that opened under the transport key."""
    silence: int = 0
    """Of these, silence frames."""
    keepalives: int = 0
    """8-byte datagrams."""
    discoveries: int = 0
    refused: int = 0
    """Datagrams that were nothing of that or did not open."""
    forwarded: int = 0
    """Packets sent to the client (before the network loses some)."""
    opcodes: Counter[int] = field(default_factory=Counter)
    """Opcodes received from it."""
    close_codes: list[int] = field(default_factory=list)
    """With which codes the server closed it."""


@dataclass
class Stats:
    """Counters by user id."""

    humans: dict[int, HumanStats] = field(default_factory=dict)
    clients: dict[int, ClientStats] = field(default_factory=dict)
    unknown_datagrams: int = 0
    """From addresses that belong to no client."""

    def human(self, user_id: int) -> HumanStats:
        """The user's counters, made when missing."""
        return self.humans.setdefault(user_id, HumanStats())

    def client(self, user_id: int) -> ClientStats:
        """The user's counters, made when missing."""
        return self.clients.setdefault(user_id, ClientStats())
