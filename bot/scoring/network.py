"""Small networks that score texts together, as read from a file: numpy and the standard library only.

    words ─ table of vectors ─▶ (words, 32) ─ two convolutions over three words ─▶ (words, h) ─ largest and mean ─▶ dense ─▶ six logits
       └─── one weight each ─▶ sum ÷ fourth root of the words ─────────────────────────────────────── added to the first logit ─┘

The members of a model are alike and were taught apart; their logits are averaged.

What is said is judged from the order of kinds of words ("i dont hate GROUP", "people who say GROUP are VERMIN are wrong"), so that it
carries over to words that no training text held. What the words say by themselves is added: it ranks texts from elsewhere more steadily
than the network alone does. `bench/train_toxicity.py` makes the file.
"""

import io
import json
import threading
import zipfile
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

try:
    from bot.scoring.features import GRAM_BUCKETS, Entry, Reader, Rows, Vocabulary, grams
except ImportError:  # packed beside this file, where there is no package
    from features import GRAM_BUCKETS, Entry, Reader, Rows, Vocabulary, grams  # type: ignore[import-not-found,no-redef]

FORMAT: Final = 2
"""Of the file; a file of another is refused."""
MODEL_FILE: Final = Path(__file__).with_name("toxicity.npz")
"""The model that comes with Earshot."""
MAX_FILE_BYTES: Final = 5_000_000
FLAGS: Final = 3
"""Features of an entry besides word, kinds and letter groups: respelled, ordinary, unknown."""
WORDS_SHARE: Final = 0.6
"""How much what the words say by themselves counts, beside what the networks make of their order: with less, public sets that were left out
are ranked worse; with more, quoted and denied abuse is taken for abuse."""
PART: Final = 256
"""Texts that are scored at a stretch. Reading them excludes other threads, for some 2 ms; arithmetic does not."""
Floats = NDArray[np.float32]

ARRAYS: Final = {
    **{"known": 1, "kinds": 1, "common": 1, "near": 1, "owners": 1, "table": 3, "calibration": 1},
    "lexical": 2,
    **{"first": 4, "first_bias": 2, "second": 4, "second_bias": 2, "dense": 3, "dense_bias": 2, "out": 3, "out_bias": 2},
}
"""Name → dimensions of what a file holds, besides `about`. The first dimension of weights counts the members."""


WHOLE: Final = {"known": np.uint32, "kinds": np.uint64, "common": np.uint32, "near": np.uint32, "owners": np.uint16}
"""Types of those that are no weights."""


class ModelInvalid(ValueError):
    """A model file that cannot be used; the message says which, why, and what to do."""


def features(entry: Entry, vocabulary: Vocabulary) -> tuple[list[int], list[float]]:
    """Rows of the table that make up an entry's vector, and their weights."""
    words, kinds = len(vocabulary.kinds), 64
    flags = words + kinds
    rows = [flags + n for n, on in enumerate((entry.respelled, entry.common, entry.known < 0)) if on]
    if entry.known >= 0:
        rows += [entry.known, *(words + k for k in vocabulary.kinds[entry.known])]
    letters = [flags + FLAGS + g for g in grams(entry.word)]
    return rows + letters, [1.0] * len(rows) + [1 / len(letters)] * len(letters)


def unpacked(kinds: NDArray[np.uint64]) -> list[tuple[int, ...]]:
    """Kinds of each word from bit fields."""
    return [tuple(k for k in range(64) if mask >> k & 1) for mask in kinds.tolist()]


class Network:
    """The weights, and what they make of texts. Scores any number of texts from any thread."""

    def __init__(self, arrays: dict[str, NDArray[Any]], about: dict[str, Any], digest: str = "") -> None:
        """`arrays`: as named in `ARRAYS`; `about`: what is known of the training; `digest`: SHA-256 of the file."""
        self.about = about
        self.categories: tuple[str, ...] = tuple(about["categories"])
        self.version = f"{about['version']}+{digest[:8]}" if digest else str(about["version"])
        self.digest = digest
        self._a = {name: a.astype(np.float32) if a.dtype == np.float16 else a for name, a in arrays.items()}
        vocabulary = Vocabulary(arrays["known"], unpacked(arrays["kinds"]), arrays["common"])
        vocabulary.expect(arrays["near"], arrays["owners"])
        self._members, _, width = self._a["table"].shape
        self._vectors = np.zeros((self._members, 256, width), np.float32)
        self._lexical = WORDS_SHARE * self._a["lexical"].mean(0)
        self._said = np.zeros(256, np.float32)
        self._used = 1
        self._reader = Reader(vocabulary, self._entered)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path | str | None = None) -> "Network":
        """Read a model file, Earshot's own when None. Raises `ModelInvalid`."""
        path = MODEL_FILE if path is None else Path(path)
        try:
            content = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
        except OSError as error:
            raise ModelInvalid(f"the toxicity model {path} cannot be read ({error.strerror}): train one with `make train`") from None
        if content is None:
            raise ModelInvalid(f"{path} has more than {MAX_FILE_BYTES:,} bytes and is no toxicity model")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            about = json.loads(str(arrays.pop("about", "")))
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise ModelInvalid(f"{path} is not a whole toxicity model ({type(error).__name__}): train one with `make train`") from None
        _check(arrays, about, path)
        return cls(arrays, about, sha256(content).hexdigest())

    def predict(self, texts: Sequence[str]) -> Floats:
        """Toxicity, and how much of it each category accounts for; shape (texts, 1 + categories), 0..1. A text without words scores 0."""
        parts = [self._scores(*self._batch(texts[n : n + PART])) for n in range(0, len(texts), PART)]
        return np.concatenate(parts) if parts else np.zeros((0, 1 + len(self.categories)), np.float32)

    def logits(self, texts: Sequence[str]) -> Floats:
        """Before calibration, which is fit on them; shape (texts, 1 + categories)."""
        return np.concatenate([self._batch(texts[n : n + PART])[0] for n in range(0, len(texts), PART)])

    def _scores(self, logits: Floats, lengths: NDArray[np.int64]) -> Floats:
        """The categories share out what toxicity there is: each says how likely it is the one, given that the text is toxic."""
        scale = self._a["calibration"].reshape(2, -1)
        logits = np.clip(logits * scale[0] + scale[1], -30, 30)
        toxicity = 1 / (1 + np.exp(-logits[:, :1]))
        scores: Floats = np.concatenate([toxicity, toxicity * softmax(logits[:, 1:])], axis=1)
        scores[lengths == 0] = 0
        return scores

    def _batch(self, texts: Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
        """Logits, and how many words each text has."""
        with self._lock:
            if self._reader.full:
                self._reader.reset()
                self._used = 1
            rows = self._reader.rows(texts)
            vectors = self._vectors[:, rows.tokens]
            said = self._said[rows.tokens]
        logits: Floats = np.mean([self._logits(member, vectors[member], rows) for member in range(self._members)], axis=0)
        logits[:, 0] += np.add.reduceat(said, rows.starts) * steps(rows.lengths)
        return logits, rows.lengths

    def _logits(self, member: int, vectors: Floats, rows: Rows) -> Floats:
        """Shape (texts, outputs). `vectors`: of all words and gaps."""
        a = {name: self._a[name][member] for name, dimensions in ARRAYS.items() if dimensions > 1}
        gaps = rows.tokens == 0
        hidden = vectors
        for layer in ("first", "second"):
            hidden = convolved(hidden, a[layer]) + a[f"{layer}_bias"]
            np.maximum(hidden, 0, out=hidden)
            hidden[gaps] = 0
        largest = np.maximum.reduceat(hidden, rows.starts)
        mean = np.add.reduceat(hidden, rows.starts) / np.maximum(rows.lengths, 1)[:, None].astype(np.float32)
        dense = np.maximum(np.concatenate([largest, mean], axis=1) @ a["dense"] + a["dense_bias"], 0)
        result: Floats = dense @ a["out"] + a["out_bias"]
        return result

    def _entered(self, entry: Entry) -> None:
        if self._used == self._vectors.shape[1]:
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)], axis=1)
            self._said = np.concatenate([self._said, np.zeros_like(self._said)])
        rows, weights = features(entry, self._reader.vocabulary)
        shares = np.array(weights, np.float32)
        self._vectors[:, self._used] = shares @ self._a["table"][:, rows]
        self._said[self._used] = shares @ self._lexical[rows]
        self._used += 1


def softmax(logits: NDArray[Any]) -> Floats:
    """Shares that sum to 1 in each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-30))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def steps(lengths: NDArray[np.int64]) -> Floats:
    """How much each word of a text counts: in long texts less, yet twice as many words still say more."""
    share: Floats = (np.maximum(lengths, 1) ** -0.25).astype(np.float32)
    return share


def convolved(x: Floats, weights: Floats) -> Floats:
    """`x`: (places, width), its first and last rows gaps; `weights`: (3, width, out). What is before the first place counts as gap."""
    result: Floats = x @ weights[1]
    result[1:] += x[:-1] @ weights[0]
    result[:-1] += x[1:] @ weights[2]
    return result


def _is_sound(name: str, array: NDArray[Any]) -> bool:
    if name in WHOLE:
        return array.dtype == WHOLE[name]
    return array.dtype in (np.float16, np.float32) and bool(np.isfinite(array).all())


def _beyond(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether a respelling leads to a word that there is not."""
    return bool(arrays["owners"].size and arrays["owners"].max() >= len(arrays["known"]))


def _check(arrays: dict[str, NDArray[Any]], about: object, path: Path) -> None:
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ModelInvalid(f"{path} is no toxicity model of format {FORMAT}: train one with `make train`")
    wrong = sorted(set(ARRAYS) ^ set(arrays)) or [name for name, n in ARRAYS.items() if arrays[name].ndim != n]
    if not wrong and not arrays["table"].shape[0]:
        wrong = ["table"]
    if not wrong:
        (m, _, width), h, d = arrays["table"].shape, arrays["first"].shape[3], arrays["dense"].shape[2]
        outputs = 1 + len(about.get("categories", ()))
        rows = len(arrays["known"]) + 64 + FLAGS + GRAM_BUCKETS
        shapes = {
            **{"table": (m, rows, width), "lexical": (m, rows)},
            **{"first": (m, 3, width, h), "second": (m, 3, h, h), "first_bias": (m, h), "second_bias": (m, h)},
            **{"dense": (m, 2 * h, d), "dense_bias": (m, d), "out": (m, d, outputs), "out_bias": (m, outputs)},
            **{"calibration": (2 * outputs,), "kinds": arrays["known"].shape, "owners": arrays["near"].shape},
        }
        wrong = [name for name, shape in shapes.items() if arrays[name].shape != shape]
    if not wrong:
        wrong = [name for name, a in arrays.items() if not _is_sound(name, a)] or ["owners"] * bool(_beyond(arrays))
    if wrong:
        raise ModelInvalid(f"{path} does not hold what a toxicity model holds (see {', '.join(wrong)}): train one with `make train`")
