"""TLS presentation language with MLS's variable-size vectors (RFC 9420, section 2.1.2: the QUIC varint of RFC 9000, section 16)."""


class MlsError(ValueError):
    """Bytes that are not the MLS message they should be; the text says which rule they break."""


def varint(value: int) -> bytes:
    """Shortest encoding of a vector's length; MLS allows up to 2^30 - 1."""
    if value < 1 << 6:
        return value.to_bytes(1, "big")
    if value < 1 << 14:
        return (value | 1 << 14).to_bytes(2, "big")
    if value < 1 << 30:
        return (value | 2 << 30).to_bytes(4, "big")
    raise MlsError(f"a vector of {value} bytes is too long for MLS")


def vec(data: bytes) -> bytes:
    """`opaque data<V>`."""
    return varint(len(data)) + data


def u16(value: int) -> bytes:
    """Big-endian unsigned 16-bit."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Big-endian unsigned 32-bit."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Big-endian unsigned 64-bit."""
    return value.to_bytes(8, "big")


class Reader:
    """Walks over encoded bytes; every method raises `MlsError` when they end too early."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def done(self) -> bool:
        """Whether everything was read."""
        return self.at == len(self.data)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.at + count
        if end > len(self.data):
            raise MlsError(f"message ends at byte {len(self.data)}, {count} more were announced at {self.at}")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def uint(self, size: int) -> int:
        """Big-endian unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def vec(self) -> bytes:
        """`opaque<V>`; longer than needed length encodings are refused, as RFC 9420 asks."""
        first = self.uint(1)
        prefix = first >> 6
        if prefix == 3:
            raise MlsError("vector length starts with the reserved prefix 3")
        length = first & 0x3F
        for _ in range((1 << prefix) - 1):
            length = length << 8 | self.uint(1)
        if prefix and length < 1 << (8 * (1 << (prefix - 1)) - 2):
            raise MlsError(f"vector length {length} is not encoded in the shortest form")
        return self.take(length)

    def expect(self, size: int, value: int, what: str) -> None:
        """Read an integer that must have this value."""
        got = self.uint(size)
        if got != value:
            raise MlsError(f"{what} is {got}, not {value}")

    def finish(self, what: str) -> None:
        """Raise unless everything was read."""
        if not self.done:
            raise MlsError(f"{len(self.data) - self.at} bytes too many after the {what}")
