"""Transport encryption against an independent sealing side."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bot.voice.crypto import TransportRefused, transport
from moderation.errors import VoiceUnavailable
from tests.bot.voice.packets import KEY
from tests.loopback.voice.transport import AES256_GCM, MODES, Transport

pytestmark = pytest.mark.unit

HEADER = bytes.fromhex("9078006500 00bf40000007d1bede0001")
BODY = b"extension and frame"


@pytest.mark.parametrize("mode", MODES)
def test_what_was_sealed_opens(mode: str) -> None:
    seal = Transport(mode, KEY).seal
    opener = transport(mode, KEY)
    for _ in range(300):  # the counter's bytes change
        assert opener.open(seal(HEADER, BODY), len(HEADER)) == BODY


def test_the_nonce_is_the_last_four_bytes_and_then_zeros_whatever_the_sender_counts_like() -> None:
    counter = b"\x07\x00\x00\x01"
    sealed = AESGCM(KEY).encrypt(counter + bytes(8), BODY, HEADER)
    assert transport(AES256_GCM, KEY).open(HEADER + sealed + counter, len(HEADER)) == BODY


@pytest.mark.parametrize("mode", MODES)
def test_every_flipped_bit_is_refused(mode: str) -> None:
    data = Transport(mode, KEY).seal(HEADER, BODY)
    opener = transport(mode, KEY)
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(TransportRefused):
            opener.open(damaged, len(HEADER))


@pytest.mark.parametrize("mode", MODES)
def test_another_key_is_refused(mode: str) -> None:
    with pytest.raises(TransportRefused):
        transport(mode, bytes(32)).open(Transport(mode, KEY).seal(HEADER, BODY), len(HEADER))


@pytest.mark.parametrize("mode", MODES)
@given(data=st.binary(min_size=20, max_size=60))
def test_random_bytes_are_refused(mode: str, data: bytes) -> None:
    with pytest.raises(TransportRefused):
        transport(mode, KEY).open(data, len(data) - 20)


def test_an_unknown_mode_or_a_short_key_says_so() -> None:
    with pytest.raises(VoiceUnavailable, match="aead_aes256_gcm_rtpsize"):
        transport("xsalsa20_poly1305", KEY)
    with pytest.raises(VoiceUnavailable, match="31 bytes; 32"):
        transport(AES256_GCM, KEY[1:])
