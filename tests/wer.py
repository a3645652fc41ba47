"""Word error rate of transcripts, for tests and the demo."""

import re
from collections.abc import Sequence

import jiwer

CUT = 0.25
"""Word error rate of three lines said in full: a machine that stands still may cut one in two, and with it a word. A lost line is more."""

_NO_WORD = re.compile(r"[^\w' ]+")


def normalise(text: str) -> str:
    """Lower case, words and apostrophes only, single spaces."""
    return " ".join(_NO_WORD.sub(" ", text.lower()).split())


def word_errors(reference: str, heard: str) -> int:
    """Words substituted, inserted and deleted."""
    out = jiwer.process_words(normalise(reference), normalise(heard))
    return int(out.substitutions + out.insertions + out.deletions)


def wer(references: Sequence[str], heard: Sequence[str]) -> float:
    """Word error rate over all pairs: errors ÷ words of the references."""
    return float(jiwer.wer([normalise(r) for r in references], [normalise(h) for h in heard]))
