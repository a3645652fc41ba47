"""The voice server with its levers: what tests and the demo can make happen in a call."""

import davey

from tests.loopback.voice.codec import u16
from tests.loopback.voice.dave import unreadable
from tests.loopback.voice.gateway import description
from tests.loopback.voice.host import VoiceHost
from tests.loopback.voice.mls import ExternalSender, KeyPackage, append_proposals
from tests.loopback.voice.peer import Op
from tests.loopback.voice.transport import KEY_BYTES, Transport
from tests.loopback.voice.udp import UdpServer


class VoiceServer(VoiceHost):
    """A `VoiceHost` whose calls can be disturbed on purpose."""

    def start_at_version_zero(self, channel_id: int) -> None:
        """The channel's call begins without DAVE. To be called before anybody comes."""
        if channel_id in self._calls:
            raise ValueError(f"the call of channel {channel_id} has begun: use downgrade()")
        self._plain_channels.add(channel_id)

    async def downgrade(self, channel_id: int) -> None:
        """To version 0; returns when the transition was executed."""
        await self._change_version(channel_id, 0)

    async def upgrade(self, channel_id: int) -> None:
        """To version 1; returns when the transition was executed."""
        await self._change_version(channel_id, 1)

    def assign_ssrc(self, user_id: int, ssrc: int) -> None:
        """The user's next stay has this SSRC, whoever had it before."""
        self._ssrcs[user_id] = ssrc

    async def abort_client(self, user_id: int) -> None:
        """Cut the client's TCP connection; its session may be resumed."""
        session = self.client(user_id)
        session.resumable = True
        self._connections[session].abort()

    def rekey_client(self, user_id: int) -> None:
        """A new op 4 in mid-call: from now on another transport key."""
        session = self.client(user_id)
        assert session.transport is not None
        session.transport = Transport(session.transport.mode, self._rng.randbytes(KEY_BYTES))
        session.send(Op.SESSION_DESCRIPTION, description(session, self.call_of(session).dave.version))

    def stop_forwarding(self, user_id: int) -> None:
        """No packets to this client any more; opcodes, IP discovery and keepalives go on. Its next session is served."""
        self.client(user_id).unserved = True

    def cut_path(self, user_id: int) -> None:
        """Nothing by UDP from or to the client's present address: what a NAT does that dropped the mapping. Another port works."""
        session = self.client(user_id)
        assert isinstance(session.network, UdpServer)
        assert session.address is not None
        session.network.cut.add(session.address)

    async def move_media(self) -> None:
        """Open another UDP port: sessions that begin from now on are sent there, as after a change of voice server."""
        self._sockets.append(await self._open_socket())

    def resend_external_sender(self, user_id: int) -> None:
        """Op 25 once more: davey refuses it in a group (`AlreadyInGroup`)."""
        session = self.client(user_id)
        session.send_binary(Op.EXTERNAL_SENDER, self.call_of(session).dave.sender.package())

    def send_bad_proposal(self, user_id: int, kind: str = "signature") -> None:
        """Op 27 with an Add that davey refuses: `signature` (of a stranger's key), `epoch` (long gone), `group` (another), `garbage`."""
        session = self.client(user_id)
        dave = self.call_of(session).dave
        stranger = davey.DaveSession(1, 1, session.ticket.channel_id)
        stranger.set_external_sender(dave.sender.package())
        key_package = KeyPackage.parse(stranger.get_serialized_key_package())
        epoch = dave.group.epoch if dave.group else 0
        group = session.ticket.channel_id
        proposals = {
            "signature": lambda: ExternalSender(b"stranger").add(group, epoch, key_package),
            "epoch": lambda: dave.sender.add(group, epoch + 7, key_package),
            "group": lambda: dave.sender.add(group + 1, epoch, key_package),
        }
        body = b"\x00\x05\xff\xff\xff\xff\xff" if kind == "garbage" else append_proposals([proposals[kind]()])
        session.send_binary(Op.PROPOSALS, body)

    def spoil_next_commit(self, user_id: int) -> None:
        """The user's next op 29 or 30 will be unreadable: it must answer op 31 and is then removed and added anew."""
        self.call_of(self.client(user_id)).dave.spoil_next.add(user_id)

    def send_unreadable_commit(self, user_id: int) -> None:
        """Op 29 out of nowhere that cannot be read: the client must answer op 31 and a new key package."""
        session = self.client(user_id)
        dave = self.call_of(session).dave
        junk = unreadable(dave.sender.remove(dave.channel_id, 0, 0).message)
        session.send_binary(Op.ANNOUNCE_COMMIT, u16(dave.transitions.next_id()) + junk)

    async def _change_version(self, channel_id: int, version: int) -> None:
        dave = self._calls[channel_id].dave
        dave.change_version(version)
        await self._calls[channel_id].wait(lambda: dave.version == version and dave.transitions.current is None)
