"""libvosk's JSON results as `Hypothesis` values. The JSON holds speech: errors here never quote it."""

import json
import re
from collections.abc import Sequence

from moderation.models import Hypothesis, Word

_NO_WORD = re.compile(r"[\[<].*[\]>]")
"""`[unk]`, `[noise]`, `<eps>`: what models emit for sounds that are none of their words."""


def final(result: str, offset: float) -> Hypothesis | None:
    """A `Result` or `FinalResult` (with `SetWords`) as a hypothesis; None when nothing was said.

    Tokens such as `[unk]` stand for words outside the model's vocabulary. They are left out of text and words alike: the gap in
    the word times still shows them, and a term split by one ("kill [unk] yourself") still matches.

    Args:
        result: libvosk's JSON.
        offset: seconds to add to its word times.

    Raises:
        ValueError: it is not what libvosk answers.
    """
    answer = _load(result)
    heard = answer.get("result", [])
    if not isinstance(heard, list):
        raise ValueError("result is not a list")
    try:
        words = tuple(
            Word(str(w["word"]), float(w["start"]) + offset, float(w["end"]) + offset, min(1.0, max(0.0, float(w["conf"]))))
            for w in heard
            if is_word(str(w["word"]))
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError("a word lacks its time or confidence") from None
    text = " ".join(w.text for w in words)
    return Hypothesis(text, final=True, words=words) if text else None


def partial(result: str) -> str:
    """The text of a `PartialResult`; empty when there is none (libvosk then leaves the key out).

    Raises:
        ValueError: it is not what libvosk answers.
    """
    return " ".join(w for w in str(_load(result).get("partial", "")).split() if is_word(w))


def is_word(token: str) -> bool:
    """Whether a token of the model's vocabulary is a word that somebody can say."""
    return bool(token) and not token.startswith("#") and not _NO_WORD.fullmatch(token)


def join(finals: Sequence[Hypothesis]) -> Hypothesis | None:
    """Finals of successive utterances as one; None when there are none."""
    if len(finals) <= 1:
        return finals[0] if finals else None
    return Hypothesis(" ".join(f.text for f in finals), final=True, words=tuple(w for f in finals for w in f.words))


def _load(result: str) -> dict[str, object]:
    try:
        answer = json.loads(result)
    except ValueError:
        raise ValueError("not JSON") from None
    if not isinstance(answer, dict):
        raise ValueError("not a JSON object")
    return answer
