"""What bytes without a label are, by how they begin: a file with audio, something that is no audio at all, or plain samples."""

import codecs

HEAD_BYTES = 16_384
"""How much of the beginning is looked at: two of the longest ADTS frames (13 bits of length)."""
LEAST_TEXT = 8
"""Bytes from which on printable characters are text: samples that all look like letters are rarer with each more."""

_FILES = (b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"caff", b"wvpk", b".snd\0\0\0", b"#!AMR", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"ADIF")
"""Ogg, FLAC, Matroska and WebM, CAF, WavPack, AU, AMR, WMA (ASF), AAC (ADIF)."""
_FORMS = {b"RIFF": (b"WAVE", b"AVI "), b"RF64": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}
_NO_AUDIO = {
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x7fELF": "a program",
}
_JPEG_MARKERS = (0xDB, *range(0xE0, 0xF0))
"""What may follow the first marker of a JPEG: a table, or an application's segment."""
_PICTURES = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
"""Brands of ISO base media files (ISO/IEC 14496-12, 4.3) that are pictures."""
_BITRATES = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by version (3: MPEG-1, 2: the lower sampling frequencies) and layer field (3: I, 2: II, 1: III): ISO/IEC 11172-3, 2.4.2.3."""
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Hz by the header's version field."""


def no_audio(head: bytes) -> str:
    """What plainly is no audio, for people ("a PNG image"); empty where it may be audio. `head`: the first `HEAD_BYTES`, or all."""
    for start, name in _NO_AUDIO.items():
        if head.startswith(start):
            return name
    if head.startswith(b"\xff\xd8\xff") and len(head) > 3 and head[3] in _JPEG_MARKERS:
        return "a JPEG image"
    if (head[:4], head[8:12]) == (b"RIFF", b"WEBP") or (head[4:8] == b"ftyp" and head[8:12] in _PICTURES):
        return "an image"
    return "text" if _is_text(head) else ""


def is_file(head: bytes) -> bool:
    """Whether it begins like a file with audio that says so with its first bytes."""
    tagged = head.startswith(b"ID3") and len(head) >= 10 and head[3] in {2, 3, 4} and max(head[6:10]) < 0x80
    return tagged or head.startswith(_FILES) or head[4:8] == b"ftyp" or head[8:12] in _FORMS.get(head[:4], ())


def has_frames(head: bytes) -> bool:
    """Whether it begins with a frame of MP3 or AAC (ADTS), and another of the same kind follows right after it.

    Their first bytes alone are no proof: samples between -1 and -2,560 begin in the same way.
    """
    length = _frame_bytes(head[:7])
    return bool(length) and (len(head) == length or (_frame_bytes(head[length : length + 7]) > 0 and _same_kind(head, length)))


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # a character may be cut off at the end
    except UnicodeDecodeError:
        return False
    return len(head) >= LEAST_TEXT and text.translate(dict.fromkeys(b"\t\n\r\f")).isprintable()


def _same_kind(head: bytes, at: int) -> bool:
    """Version, layer and sampling frequency never change within a file."""
    rate = 0x3C if _is_adts(head) else 0x0C
    return head[1] & 0xFE == head[at + 1] & 0xFE and head[2] & rate == head[at + 2] & rate


def _is_adts(header: bytes) -> bool:
    """Twelve bits of sync, layer 0 (ISO/IEC 13818-7, 6.2)."""
    return header[1] & 0xF6 == 0xF0


def _frame_bytes(header: bytes) -> int:
    """How long the frame is that this begins; 0 where it begins none."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    if _is_adts(header):
        length = (header[3] & 0x03) << 11 | header[4] << 3 | header[5] >> 5
        return length if length > 7 and (header[2] >> 2) & 0x0F < 13 else 0
    return _mpeg_bytes(header[1] >> 3 & 3, header[1] >> 1 & 3, header)


def _mpeg_bytes(version: int, layer: int, header: bytes) -> int:
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 0 or rate == 3 or bitrate in {0, 15}:
        return 0
    bits = _BITRATES[3 if version == 3 else 2, layer][bitrate - 1] * 1000
    hertz = _RATES[version][rate]
    if layer == 3:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 1 and version != 3 else 144) * bits // hertz + padding
