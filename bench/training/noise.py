"""What happens to words on their way: recognition errors, disfluency, chat spelling, misspelling. Abuse and its look-alikes alike."""

import random
from collections.abc import Callable

HEARD_AS = {
    "you're": ("your", "youre", "you are"), "youre": ("your", "ur", "you are"), "your": ("you're", "ur", "you"), "you": ("ya", "u", "you"),
    "their": ("there",), "there": ("their",), "they're": ("there",), "to": ("two", "too"), "too": ("to",), "are": ("r", "are", "or"),
    "im": ("i'm", "i am"), "i'm": ("im",), "gonna": ("going to",), "and": ("an",), "an": ("a",), "then": ("than",), "is": ("its", "is"),
    "hate": ("hates", "ate", "hated"), "kill": ("kills", "kil"), "hes": ("he's", "he is"), "shes": ("she's",), "dont": ("don't", "do not"),
    "cant": ("can't",), "isnt": ("isn't",), "arent": ("aren't",), "the": ("a", "da", "the"), "women": ("woman",), "this": ("that", "dis"),
    "what": ("wat", "what"), "with": ("wit", "with"), "for": ("four", "for"), "shit": ("shitt", "shet"), "please": ("pls", "plz"),
    "people": ("peoples", "ppl"), "because": ("cause", "cuz"), "them": ("em", "dem"), "fucking": ("fuckin", "fkn", "fking"),
    "fuck": ("fuk", "fck"), "bitch": ("biatch", "bich"), "noob": ("nub", "n00b"), "really": ("rly",), "thanks": ("thx",),
}  # fmt: skip
FILLERS = ("uh", "um", "like", "you know", "well", "so", "i mean", "yeah", "oh", "man", "okay", "hey", "look", "bro", "dude", "lol", "wow")
ENDINGS = (
    "lol",
    "bro",
    "man",
    "dude",
    "haha",
    "lmao",
    "okay",
    "right",
    "you know",
    "xd",
    "guys",
    "mate",
    "ok",
    "pls",
    "for real",
    "i swear",
)
_LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "l": "1"}
_SMALL = frozenset(["a", "an", "the", "is", "are", "am", "be", "to", "of", "in", "on", "at", "it", "so", "very", "really", "just"])


def spoken(text: str, chance: random.Random) -> str:
    """The text as it may arrive; often unchanged."""
    words = text.split()
    if chance.random() < 0.35:
        words = [chance.choice(HEARD_AS[w]) if w in HEARD_AS and chance.random() < 0.5 else w for w in words]
    if len(words) > 3 and chance.random() < 0.12:
        words = [w for w in words if w not in _SMALL or chance.random() < 0.5]
    if chance.random() < 0.1:
        words.insert(chance.randrange(len(words) + 1), chance.choice(FILLERS))
    if chance.random() < 0.08:
        words.insert(0, chance.choice(FILLERS))
    if chance.random() < 0.08:
        words.append(chance.choice(ENDINGS))
    if len(words) > 1 and chance.random() < 0.04:
        n = chance.randrange(len(words))
        words.insert(n, words[n])
    if chance.random() < 0.1:
        n = chance.randrange(len(words))
        words[n] = misspelled(words[n], chance)
    return " ".join(words)


def misspelled(word: str, chance: random.Random) -> str:
    """A word with letters swapped, dropped, doubled, spaced out or written as digits."""
    if len(word) < 4:
        return word
    n = chance.randrange(1, len(word) - 1)
    ways: tuple[tuple[float, Callable[[], str]], ...] = (
        (0.25, lambda: word[:n] + word[n + 1] + word[n] + word[n + 2 :]),
        (0.25, lambda: word[:n] + word[n + 1 :]),
        (0.15, lambda: word[:n] + word[n] * chance.randint(2, 5) + word[n + 1 :]),
        (0.1, lambda: word[:n] + " " + word[n:]),
        (0.05, lambda: " ".join(word)),
        (0.2, lambda: "".join(chance.choice(_LEET[c]) if c in _LEET and chance.random() < 0.6 else c for c in word)),
    )
    return chance.choices([way for _, way in ways], [share for share, _ in ways])[0]()
