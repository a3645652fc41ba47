"""A reference receiver: voice gateway, UDP, transport decryption and DAVE, straight from the documents, with no retries and no patience."""

import asyncio
import json
import socket
import struct
from collections import Counter, defaultdict
from typing import Any

import aiohttp
import davey
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt, crypto_aead_xchacha20poly1305_ietf_encrypt
from nacl.exceptions import CryptoError

SILENCE = b"\xf8\xff\xfe"
Json = Any


class Receiver:
    """Datagrams in, Opus out. `heard[user]` are the Opus frames in order of arrival, without silence."""

    def __init__(self) -> None:
        self.heard: dict[int, list[bytes]] = defaultdict(list)
        self.timestamps: dict[int, list[int]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.users: dict[int, int] = {}
        self.session: davey.DaveSession | None = None
        self.mode = ""
        self.key = b""

    def datagram(self, data: bytes) -> None:
        if len(data) == 8:
            self.counts["keepalive"] += 1
        elif 200 <= data[1] <= 204:
            self.counts["rtcp"] += 1
        elif data[1] & 0x7F != 120:
            self.counts["other payload"] += 1
        else:
            self._audio(data)

    def _audio(self, data: bytes) -> None:
        extended = bool(data[0] & 0x10)
        size = 12 + 4 * (data[0] & 0x0F) + 4 * extended
        try:
            if self.mode.startswith("aead_aes"):
                body = AESGCM(self.key).decrypt(data[-4:] + bytes(8), data[size:-4], data[:size])
            else:
                body = crypto_aead_xchacha20poly1305_ietf_decrypt(data[size:-4], data[:size], data[-4:] + bytes(20), self.key)
        except (InvalidTag, CryptoError):
            self.counts["transport"] += 1
            return
        if extended:
            body = body[4 * int.from_bytes(data[size - 2 : size], "big") :]
        if data[0] & 0x20:
            self.counts["padded"] += 1
            body = body[: -body[-1]]
        timestamp, ssrc = struct.unpack_from(">II", data, 4)
        self._frame(self.users.get(ssrc), timestamp, body)

    def _frame(self, user: int | None, timestamp: int, frame: bytes) -> None:
        if not frame:
            self.counts["empty"] += 1
        elif frame == SILENCE:
            self.counts["silence"] += 1
        elif user is None:
            self.counts["unknown ssrc"] += 1
        elif frame[-2:] != b"\xfa\xfa":
            self.counts["plain"] += 1
            self.heard[user].append(frame)
            self.timestamps[user].append(timestamp)
        else:
            self._decrypt(user, timestamp, frame)

    def _decrypt(self, user: int, timestamp: int, frame: bytes) -> None:
        assert self.session is not None
        try:
            opus = self.session.decrypt(user, davey.MediaType.audio, frame)
        except ValueError:
            self.counts["undecryptable"] += 1
            return
        self.counts["decrypted"] += 1
        self.heard[user].append(opus)
        self.timestamps[user].append(timestamp)


class ReferenceClient(Receiver, asyncio.DatagramProtocol):
    """One voice connection."""

    def __init__(self, url: str, *, guild_id: int, channel_id: int, user_id: int, session_id: str, token: str, max_dave: int = 1) -> None:
        super().__init__()
        self.url = url
        self.channel_id = channel_id
        self.user_id = user_id
        self.identity = {"server_id": str(guild_id), "session_id": session_id, "token": token}
        self.max_dave = max_dave
        self.answers = True
        """Whether it answers MLS messages (commits, op 23)."""
        self.messages: list[tuple[int, Json | bytes]] = []
        self.present: set[int] = set()
        self.seq = -1
        self.close_code: int | None = None
        self.described = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None
        self._versions: dict[int, int] = {}
        self.version = 0

    async def connect(self, resume: bool = False) -> None:
        """Open the websocket; with `resume`, take up the session again instead of beginning one."""
        self._http = self._http or aiohttp.ClientSession()
        self.ws = await self._http.ws_connect(self.url)
        if resume:
            await self._send(7, {**self.identity, "seq_ack": self.seq})
        else:
            await self._send(0, {**self.identity, "user_id": str(self.user_id), "max_dave_protocol_version": self.max_dave})
        self.reader = asyncio.create_task(self._read())

    async def ready(self) -> None:
        """Until op 4 came. Raises when the websocket closes before."""
        waiter = asyncio.create_task(self.described.wait())
        await asyncio.wait([waiter, self.reader], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        assert self.described.is_set(), self.close_code

    async def close(self) -> None:
        if self._http:
            await self.ws.close()
            await self.reader
            await self._http.close()
        if hasattr(self, "udp"):
            self.udp.close()

    # ---- websocket ----

    async def _send(self, op: int, data: object) -> None:
        await self.ws.send_str(json.dumps({"op": op, "d": data}))

    async def _send_binary(self, op: int, data: bytes) -> None:
        await self.ws.send_bytes(bytes([op]) + data)

    async def _read(self) -> None:
        async for message in self.ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                content = json.loads(message.data)
                self.seq = content.get("seq", self.seq)
                self.messages.append((content["op"], content["d"]))
                await self._json(content["op"], content["d"])
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.seq, op = struct.unpack_from(">HB", message.data)
                self.messages.append((op, message.data[3:]))
                await self._binary(op, message.data[3:])
        self.close_code = self.ws.close_code

    async def _json(self, op: int, data: Json) -> None:
        if op == 2:
            await self._select(data)
        elif op == 4:
            self._describe(data)
            if data["dave_protocol_version"] and self.session is None:
                await self._new_group()
            self.described.set()
        elif op == 5:
            self.users[data["ssrc"]] = int(data["user_id"])
        elif op == 11:
            self.present |= {int(user) for user in data["user_ids"]}
        elif op == 13:
            self.present.discard(int(data["user_id"]))
        elif op == 21:
            self._versions[data["transition_id"]] = data["protocol_version"]
            if data["transition_id"] == 0:
                self.version = self._versions.pop(0)
            elif self.answers:
                await self._send(23, data)
        elif op == 22:
            self.version = self._versions.pop(data["transition_id"], self.version)
        elif op == 24 and data["epoch"] == 1:
            await self._new_group()

    async def _new_group(self) -> None:
        if self.session is None:
            self.session = davey.DaveSession(1, self.user_id, self.channel_id)
        else:
            self.session.reinit(1, self.user_id, self.channel_id)
        await self._send_binary(26, self.session.get_serialized_key_package())

    async def _binary(self, op: int, body: bytes) -> None:
        assert self.session is not None
        try:
            if op == 25:
                self.session.set_external_sender(body)
            elif op == 27:
                kind = davey.ProposalsOperationType.revoke if body[0] else davey.ProposalsOperationType.append
                result = self.session.process_proposals(kind, body[1:])
                if result and self.answers:
                    await self._send_binary(28, result.commit + (result.welcome or b""))
            elif op in (29, 30):
                await self._outcome(op, body)
        except ValueError as error:
            self.counts[str(error)] += 1

    async def _outcome(self, op: int, body: bytes) -> None:
        assert self.session is not None
        (transition,) = struct.unpack_from(">H", body)
        try:
            (self.session.process_commit if op == 29 else self.session.process_welcome)(body[2:])
        except ValueError:
            await self._send(31, {"transition_id": transition})
            await self._new_group()
            return
        self._versions[transition] = 1
        if self.answers:
            await self._send(23, {"transition_id": transition})

    # ---- UDP ----

    async def _select(self, data: Json) -> None:
        self.ssrc = data["ssrc"]
        loop = asyncio.get_running_loop()
        self.discovered: asyncio.Future[tuple[str, int]] = loop.create_future()
        self.udp, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=(data["ip"], data["port"]))
        self.udp.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.udp.sendto(struct.pack(">HHI66x", 1, 70, self.ssrc))
        address, port = await self.discovered
        await self._send(1, {"protocol": "udp", "data": {"address": address, "port": port, "mode": data["modes"][0]}})

    def _describe(self, data: Json) -> None:
        self.mode, self.key, self.version = data["mode"], bytes(data["secret_key"]), data["dave_protocol_version"]

    def send_frame(self, payload: bytes, sequence: int = 0) -> None:
        """Send an RTP packet; enough for silence frames."""
        header = struct.pack(">BBHII", 0x80, 120, sequence, 960 * sequence, self.ssrc)
        nonce = struct.pack(">I", sequence)
        if self.mode.startswith("aead_aes"):
            sealed = AESGCM(self.key).encrypt(nonce + bytes(8), payload, header)
        else:
            sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(payload, header, nonce + bytes(20), self.key)
        self.udp.sendto(header + sealed + nonce)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if len(data) == 74 and data[1] == 2:
            self.discovered.set_result((data[8:72].rstrip(b"\0").decode(), int.from_bytes(data[72:], "big")))
        else:
            self.datagram(data)
