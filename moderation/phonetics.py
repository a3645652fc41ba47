"""How a written English word sounds, roughly, and how far two sounds are apart: enough to find what a recogniser writes instead of a word.

Letters become sounds by ordered rules, longest spelling first, after the idea of Elovitz et al. 1976 (NRL report 7948, letter-to-sound by
rules). A sound is one character:

    p b t d k g f v s z m n l r w h y    as in English
    T th   S sh   C ch   J j   N ng      consonants with two letters
    a e i o u                            short vowels; A "ay"  I "eye"  O "oh"  U "oo"  W "ow"  Y "oy"  E "ee" the long ones

No dictionary of pronunciations is needed, so it works for whatever vocabulary a model has. Letters that the rules do not know (other
scripts, digits) stand for themselves: such words are compared letter by letter.
"""

import re
from functools import lru_cache

VOWELS = frozenset("aeiouAEIOUWY")

_RULES: tuple[tuple[str, str], ...] = (
    # Beginnings.
    ("^kn", "n"), ("^gn", "n"), ("^wr", "r"), ("^ps", "s"), ("^pn", "n"), ("^who", "hU"), ("^you", "yU"),
    ("^x", "z"), ("^y", "y"), ("^gh", "g"),
    # Endings and silent letters.
    ("mbs", "mz"), ("mb$", "m"), ("mn$", "m"), ("ought", "ot"), ("aught", "ot"), ("ough", "O"), ("eigh", "A"), ("igh", "I"), ("gh", ""),
    ("tion", "Sun"), ("sion", "Sun"), ("cious", "Sus"), ("tious", "Sus"), ("ture", "Cer"), ("stle", "sul"), ("tte$", "t"), ("que$", "k"),
    ("(?<=[bcdfgkpstz])le$", "ul"), ("(?<=[bcdfgkpstz])les$", "ulz"), ("ies$", "Ez"), ("(?<=[aeiouy][^aeiouy])es$", "s"),
    # Long vowels before one consonant and a silent e.
    ("a(?=[^aeiouyrwx]es?$)", "A"), ("i(?=[^aeiouyrwx]es?$)", "I"), ("o(?=[^aeiouyrwx]es?$)", "O"), ("u(?=[^aeiouyrwx]es?$)", "U"),
    ("(?<=^[^aeiou])e$", "E"), ("(?<=^[^aeiou]{2})e$", "E"), ("(?<=[^aeiou])e$", ""),
    # Vowels written with several letters.
    ("eau", "O"), ("ee", "E"), ("ea", "E"), ("ie(?=.)", "E"), ("ei", "E"), ("ey$", "E"), ("oo", "U"), ("ou", "W"), ("ow$", "O"),
    ("ow", "W"), ("ew", "U"), ("ue$", "U"), ("ui", "U"), ("ai", "A"), ("ay", "A"), ("oi", "Y"), ("oy", "Y"), ("au", "o"), ("aw", "o"),
    ("oa", "O"), ("oe$", "O"), ("o$", "O"), ("i$", "E"), ("(?<=^[^aeiou])y$", "I"), ("(?<=^[^aeiou]{2})y$", "I"), ("y$", "E"),
    ("y(?=[aeiou])", "y"), ("y", "i"),
    # Consonants.
    ("sch", "sk"), ("tch", "C"), ("chr", "kr"), ("ch", "C"), ("sh", "S"), ("ph", "f"), ("wh", "w"), ("th", "T"), ("ck", "k"), ("dge?", "J"),
    ("nk", "Nk"), ("ng", "N"), ("qu", "kw"), ("q", "k"), ("x", "ks"), ("sc(?=[eiy])", "s"), ("c(?=[eiy])", "s"), ("c", "k"),
    ("g(?=[eiy])", "J"),
    ("j", "J"), ("gg", "g"), ("(?<=[aeiou])h(?![aeiou])", ""),
)  # fmt: skip
_BETWEEN = re.compile(r"[^\w]|_")
_RUN = re.compile(r"(.)\1+", re.DOTALL)
_BEFORE = re.compile(r"\^|\(\?<=[^)]*\)")


def _by_letter() -> dict[str, tuple[re.Pattern[str], list[str]]]:
    """First letter → a pattern of that letter's rules, a group each, and their sounds: all rules everywhere would be eight times slower."""
    rules: dict[str, list[tuple[str, str]]] = {}
    for spelling, sound in _RULES:
        rules.setdefault(_BEFORE.sub("", spelling, count=1)[0], []).append((spelling, sound))
    return {letter: (re.compile("|".join(f"({s})" for s, _ in some)), [sound for _, sound in some]) for letter, some in rules.items()}


_LETTERS = _by_letter()
_NONE = (re.compile("(?!)"), [""])


@lru_cache(maxsize=1 << 16)
def sounds(word: str) -> str:
    """The sounds of a word, one character each; empty when it has no letter."""
    letters = _BETWEEN.sub("", word.lower())
    heard: list[str] = []
    at = 0
    while at < len(letters):
        pattern, found = _LETTERS.get(letters[at], _NONE)
        match = pattern.match(letters, at)
        if match is not None and match.lastindex is not None:
            heard.append(found[match.lastindex - 1])
            at = match.end()
        else:
            heard.append(letters[at])
            at += 1
    return _squeezed("".join(heard))


def _squeezed(text: str) -> str:
    return _RUN.sub(r"\1", text)


_NEAR = ("pb", "td", "kg", "fv", "sz", "CJ", "mn", "nN", "SC", "TD", "aeu", "eiE", "ou", "oO", "uU", "aW", "OW", "eA", "IY", "aI")
"""Sounds that are easily taken for each other: one feature apart (voice, or the neighbouring place or height)."""
_ALIKE = ("ptk", "bdg", "fTsSh", "vzTd", "Jdgz", "Cts", "lrw", "mnN", "mb", "nd", "vb", "aeiouAEIOUWY")
"""The same manner or place, two features apart."""


def _table() -> dict[tuple[str, str], float]:
    costs: dict[tuple[str, str], float] = {}
    for groups, cost in ((_ALIKE, 0.6), (_NEAR, 0.3)):
        for group in groups:
            costs |= {(a, b): cost for a in group for b in group if a != b}
    return costs


_COSTS = _table()
_FAINT = frozenset("hwyr")
_LOST_VOWEL, _LOST_FAINT, _LOST = 0.5, 0.5, 0.8


def _loss(sound: str) -> float:
    return _LOST_VOWEL if sound in VOWELS else _LOST_FAINT if sound in _FAINT else _LOST


def distance(a: str, b: str) -> float:
    """How far two strings of `sounds` are apart: the edit distance with cheaper changes between similar sounds, for each sound.

    0 for the same, about 1 for nothing in common. Symmetric. Work: len(a) x len(b).
    """
    if a == b:
        return 0.0
    row = [0.0]
    for sound in b:
        row.append(row[-1] + _loss(sound))
    for x in a:
        lost = _loss(x)
        diagonal, row[0] = row[0], row[0] + lost
        for n, y in enumerate(b, 1):
            changed = diagonal + (0.0 if x == y else _COSTS.get((x, y), 1.2 if (x in VOWELS) != (y in VOWELS) else 1.0))
            diagonal = row[n]
            row[n] = min(changed, row[n] + lost, row[n - 1] + _loss(y))
    return row[-1] * 2 / max(1, len(a) + len(b))


_CLASSES = {
    **dict.fromkeys("pb", "P"), **dict.fromkeys("tdT", "T"), **dict.fromkeys("kg", "K"), **dict.fromkeys("fv", "F"),
    **dict.fromkeys("sz", "S"), **dict.fromkeys("SCJ", "X"), **dict.fromkeys("mnN", "N"), "l": "L", "r": "R", "w": "W",
}  # fmt: skip


def key(heard: str) -> str:
    """What all strings of `sounds` share that could be taken for each other: classes of consonants, and whether a vowel begins."""
    classes = [_CLASSES.get(sound, "" if sound in VOWELS or sound in "hy" else sound) for sound in heard]
    first = "A" if heard[:1] in VOWELS else "H" if heard[:1] in {"h", "y"} else ""
    return _squeezed(first + "".join(classes))
