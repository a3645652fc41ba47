"""Common English words: they tell a split word ("id iot") from two words that happen to stand together ("pen is")."""

from functools import cache
from pathlib import Path

WORDS_PATH = Path(__file__).with_name("words.txt")
"""One word a line, `#` starts a comment; source and licence are in the file's head."""


@cache
def common_words() -> frozenset[str]:
    """The list, and the two one-letter words. Lower-case ASCII letters only; about 40,000. Read once."""
    lines = WORDS_PATH.read_text(encoding="ascii").splitlines()
    return frozenset([line for line in lines if not line.startswith("#")]) | {"a", "i"}
