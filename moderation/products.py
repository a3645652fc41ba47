"""What a product is: a name people can write and a price that is exact.

Prices are decimal numbers of the kind DECIMAL(18,2): Databricks SQL keeps them as that, the bot's own database as whole cents.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from moderation.errors import InvalidProduct

MAX_NAME = 255
"""Characters of a name."""
MAX_KEY = 1000
"""Characters of a key: some characters stand for up to 18 when they are compared, and keys travel in addresses."""
MAX_PRODUCTS = 10_000
"""Products of a catalogue: all of them are held in memory."""
MAX_PRICE = Decimal("9999999999999999.99")
"""The largest DECIMAL(18,2)."""
CENT = Decimal("0.01")

_WRITTEN = re.compile(r"\+?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_MAX_WRITTEN = 100
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text after them (UAX #9): with them one name can be made to look like another."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product; there is none with a name or price that cannot be. Raises `InvalidProduct`."""

    name: str
    """As it was given, in NFC and without blanks around it."""
    price: Decimal
    """Of no particular currency, with two decimals."""
    updated_at: datetime
    """When it was added or its price set; aware."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", parse_name(self.name))
        object.__setattr__(self, "price", parse_price(self.price))

    @property
    def key(self) -> str:
        """What tells it from others."""
        return name_key(self.name)


def name_key(name: str) -> str:
    """What names that count as the same have in common: NFKC, case folded, runs of blanks as one (after Unicode 3.13, D146)."""
    if name.isascii():  # ten thousand are folded at once when the catalogue is loaded
        return " ".join(name.lower().split())
    folded = unicodedata.normalize("NFD", name).casefold()
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def parse_name(text: str) -> str:
    """A name as it is kept. Raises `InvalidProduct`."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InvalidProduct("A product needs a name.")
    if len(name) > MAX_NAME:
        raise InvalidProduct(f"A product's name has at most {MAX_NAME} characters, this one has {len(name):,}.")
    if not name.isascii() and len(name_key(name)) > MAX_KEY:
        raise InvalidProduct("A product's name is too long: it has characters that stand for many others. Write it with simpler ones.")
    categories = set() if name.isprintable() else {unicodedata.category(character) for character in name}
    if categories & {"Cc", "Cs", "Zl", "Zp"} or _DIRECTION.intersection(name):
        raise InvalidProduct("A product's name cannot hold line breaks, other control characters or halves of characters. Leave them out.")
    if not any(unicodedata.category(character)[0] in "LNPS" for character in name):
        raise InvalidProduct("A product's name needs at least one visible character.")
    if name in {".", ".."}:
        raise InvalidProduct("A product cannot be named . or .. because web addresses cannot hold that. Choose another name.")
    return name


def parse_price(value: object) -> Decimal:
    """A price with two decimals, exactly what was given. Raises `InvalidProduct` saying what would do.

    Args:
        value: text as people write it (digits and a point), a whole number, or a `Decimal` such as JSON's numbers are read as.
            `0.10` and `1.500` are exact; `1.005` is refused, never rounded. A `float` is refused: its digits are not what was written.
    """
    number = _number(value)
    if number.is_nan() or number.is_infinite():
        raise InvalidProduct("The price must be a number, such as 9.99. NaN and Infinity are none.")
    if number < 0:
        raise InvalidProduct("The price cannot be negative.")
    if number > MAX_PRICE:
        raise InvalidProduct(f"The price has too many digits: {MAX_PRICE:,} is the highest.")
    exact = number.quantize(CENT)
    if exact != number:
        raise InvalidProduct("The price has more than two decimals. It is not rounded for you: give it with two, such as 9.99.")
    return abs(exact)  # there is no -0.00


def _number(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if not isinstance(value, str):
        raise InvalidProduct("The price must be a number, such as 9.99.")
    text = value.strip()
    if "," in text:
        raise InvalidProduct("The price is written with a point before the decimals and without separators, such as 1234.50.")
    sign, rest = ("-", text[1:]) if text.startswith("-") else ("", text)
    if len(text) > _MAX_WRITTEN or not _WRITTEN.fullmatch(rest):
        raise InvalidProduct("The price must be a number written in digits, such as 9.99.")
    return Decimal(sign + rest)
