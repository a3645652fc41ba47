"""Templates of speech and the words that fill them.

A template is a line such as `{you|u} are {a INSULT|insult_adj}`: braces hold alternatives; a name of a list of `words.txt` (any word
with an underscore, or in `MARKS`, or a whole alternative that is in `WHOLE`) is replaced by a word of that list.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).parents[1] / "data" / "toxicity" / "corpus"
MARKS = {
    "GROUP": ("group_plural", "group_plural", "group_phrase"),
    "INSULT": ("insult_noun", "profane_insult"),
    "crime": ("crime",),
    "dehuman": ("dehuman",),
    "condemn": ("condemn",),
    "object": ("object",),
}
WHOLE = frozenset({"body", "profanity"})
"""Lists without an underscore in their names that are meant where they are a whole alternative."""
MASKS = ("****", "***", "*****", "f***", "s***", "b****", "f**k", "s**t", "******", "a**", "n****", "c***")
_BRACES = re.compile(r"\{([^{}]*)\}")
_SECTION = re.compile(r"\[(\d+) (\S+) (\S+)\]")


class Template(NamedTuple):
    """One line."""

    text: str
    target: float
    """What share of listeners would call it abuse, 0..1."""
    category: str
    """`-` where it is no abuse."""
    family: str
    """Templates that say the same thing in other words; held-out splits take whole families' lines."""


class Example(NamedTuple):
    """A text to learn from."""

    text: str
    target: float
    category: str
    """`?` where nobody said which."""
    source: str


def templates(folder: Path = CORPUS) -> list[Template]:
    """Of every file but the word lists."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        if path.name == "words.txt":
            continue
        section: tuple[float, str, str] | None = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := _SECTION.fullmatch(line):
                section = (int(match[1]) / 100, match[2], match[3])
            elif line and not line.startswith("#"):
                if section is None:
                    raise ValueError(f"{path.name}: a template stands before the first section: {line[:40]}")
                found.append(Template(line, *section))
    return found


def word_lists(path: Path = CORPUS / "words.txt") -> dict[str, list[str]]:
    """Kind → its words; hyphens stand for nothing."""
    lists: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name = line[1:-1]
        elif line and not line.startswith("#"):
            lists.setdefault(name, []).extend(dict.fromkeys(w.strip() for w in line.split(",")))
    return lists


class Filler:
    """Fills templates. The same seed, the same texts."""

    def __init__(self, lists: Mapping[str, Sequence[str]], seed: int) -> None:
        self._lists = {name: [w.replace("-", " ") for w in words] for name, words in lists.items()}
        self._chance = random.Random(seed)  # noqa: S311 (training data)

    def fill(self, template: str) -> str:
        """One text of a template."""
        parts = [self._part(part) if n % 2 else part for n, part in enumerate(_split(template))]
        return " ".join(" ".join(self._word(w) for w in "".join(parts).split()).split())

    def _part(self, alternatives: str) -> str:
        chosen = self._chance.choice(alternatives.split("|"))
        return self._chance.choice(self._lists[chosen]) if chosen in WHOLE else chosen

    def _word(self, word: str) -> str:
        if word in MARKS:
            return self._chance.choice(self._lists[self._chance.choice(MARKS[word])])
        if word == "MASK":
            return self._chance.choice(MASKS)
        return self._chance.choice(self._lists[word]) if "_" in word else word


@lru_cache(maxsize=4096)
def _split(template: str) -> tuple[str, ...]:
    return tuple(_BRACES.split(template))


def examples(found: Sequence[Template], lists: Mapping[str, Sequence[str]], each: int, seed: int) -> Iterator[Example]:
    """`each` texts of every template, fewer of those that have few."""
    filler = Filler(lists, seed)
    for template in found:
        texts = {filler.fill(template.text) for _ in range(each)}
        for text in sorted(texts):
            yield Example(text, template.target, template.category, f"templates/{template.family}")
