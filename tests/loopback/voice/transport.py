"""Discord's two transport encryptions (`…_rtpsize`): header as additional data, a 4-byte counter at the end (Discord docs)."""

from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

AES256_GCM = "aead_aes256_gcm_rtpsize"
XCHACHA20_POLY1305 = "aead_xchacha20_poly1305_rtpsize"
MODES = (AES256_GCM, XCHACHA20_POLY1305)
KEY_BYTES = 32
TAG_BYTES = 16
COUNTER_BYTES = 4


class Undecryptable(ValueError):
    """A datagram that does not open under the client's key."""


class _Aead(Protocol):
    """One cipher under one key."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class _XChaCha:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        return crypto_aead_xchacha20poly1305_ietf_encrypt(data, associated_data, nonce, self._key)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(data, associated_data, nonce, self._key)
        except CryptoError:
            raise InvalidTag from None


class Transport:
    """Seals and opens one client's datagrams; counts its own nonces from 0."""

    def __init__(self, mode: str, key: bytes) -> None:
        """`mode`: one of `MODES`; `key`: 32 bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a transport key has {KEY_BYTES} bytes, not {len(key)}")
        if mode not in MODES:
            raise ValueError(f"unknown transport mode {mode!r}; known: {', '.join(MODES)}")
        self.mode = mode
        self.key = key
        self._aead: _Aead = AESGCM(key) if mode == AES256_GCM else _XChaCha(key)
        self._nonce_padding = bytes(8 if mode == AES256_GCM else 20)
        self._counter = 0

    def seal(self, header: bytes, body: bytes) -> bytes:
        """Datagram of a clear header and a body to encrypt."""
        counter = self._counter.to_bytes(COUNTER_BYTES, "big")
        self._counter = (self._counter + 1) & 0xFFFFFFFF
        return header + self._aead.encrypt(counter + self._nonce_padding, body, header) + counter

    def open(self, datagram: bytes, header_size: int) -> bytes:
        """Body of a datagram. Raises `Undecryptable`."""
        if len(datagram) < header_size + TAG_BYTES + COUNTER_BYTES:
            raise Undecryptable(f"{len(datagram)} bytes are too few for an encrypted packet")
        counter = datagram[-COUNTER_BYTES:]
        sealed = datagram[header_size:-COUNTER_BYTES]
        try:
            return self._aead.decrypt(counter + self._nonce_padding, sealed, datagram[:header_size])
        except InvalidTag:
            raise Undecryptable("the authentication tag does not match") from None
