"""Discord's two transport encryptions (`aead_aes256_gcm_rtpsize`, `aead_xchacha20_poly1305_rtpsize`), opening side.

Sealed: everything behind the clear header. Additional data: the clear header. Nonce: the datagram's last 4 bytes, then zeros
(https://docs.discord.com/developers/topics/voice-connections#transport-encryption-modes). There is no replay protection here.
"""

from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt
from nacl.exceptions import CryptoError

from moderation.errors import VoiceUnavailable

KEY_BYTES = 32


class TransportRefused(ValueError):
    """A datagram that does not open: forged, damaged, or sealed under another key."""


class Transport(Protocol):
    """Opens datagrams under one key."""

    def open(self, packet: bytes, header_length: int) -> bytes:
        """What was sealed behind `header_length` clear bytes, which must be at least 20 fewer than there are.

        Raises `TransportRefused`.
        """
        ...


class Aes256Gcm:
    """`aead_aes256_gcm_rtpsize`: 12-byte nonce, 16-byte tag."""

    mode = "aead_aes256_gcm_rtpsize"

    def __init__(self, key: bytes) -> None:
        """`key`: 32 bytes."""
        self._decrypt = AESGCM(key).decrypt

    def open(self, packet: bytes, header_length: int) -> bytes:
        """As `Transport.open`."""
        try:
            return self._decrypt(packet[-4:] + b"\0\0\0\0\0\0\0\0", packet[header_length:-4], packet[:header_length])
        except InvalidTag:
            raise TransportRefused("the datagram's tag does not match") from None


class XChaCha20Poly1305:
    """`aead_xchacha20_poly1305_rtpsize`: 24-byte nonce, 16-byte tag."""

    mode = "aead_xchacha20_poly1305_rtpsize"

    def __init__(self, key: bytes) -> None:
        """`key`: 32 bytes."""
        self._key = key
        self._zeros = bytes(20)

    def open(self, packet: bytes, header_length: int) -> bytes:
        """As `Transport.open`."""
        nonce = packet[-4:] + self._zeros
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(packet[header_length:-4], packet[:header_length], nonce, self._key)
        except CryptoError:
            raise TransportRefused("the datagram's tag does not match") from None


_MODES: dict[str, type[Aes256Gcm] | type[XChaCha20Poly1305]] = {each.mode: each for each in (Aes256Gcm, XChaCha20Poly1305)}


def transport(mode: str, secret_key: bytes) -> Transport:
    """What opens datagrams under op 4's mode and key (32 bytes). Raises `VoiceUnavailable` for a mode or key it cannot use."""
    if mode not in _MODES:
        raise VoiceUnavailable(
            f"The voice server wants an encryption mode that Earshot does not know. It knows {' and '.join(_MODES)}; an update may help."
        )
    if len(secret_key) != KEY_BYTES:
        raise VoiceUnavailable(f"The voice server sent a transport key of {len(secret_key)} bytes; {KEY_BYTES} are needed.")
    return _MODES[mode](secret_key)
