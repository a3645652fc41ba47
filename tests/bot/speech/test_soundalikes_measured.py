"""Sound-alikes measured: words are taken from the real model's vocabulary, and what it then writes is looked for among the answers.

The vocabulary is taken away with a runtime grammar of all other words, so the sentence around the word is decoded without a language model.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import vosk

from bot.speech.words import model_words
from moderation.models import SAMPLE_RATE
from moderation.phonetics import sounds
from moderation.soundalikes import MAX_COMPARED, MAX_HALVES, SoundAlikes
from tests.bot.speech.audio import MODEL, conversation, samples

pytestmark = pytest.mark.integration

OFFERED = 8


def words_heard(recognizer: Any, pcm: bytes) -> list[dict[str, Any]]:  # noqa: ANN401 (vosk is untyped)
    recognizer.SetWords(True)
    recognizer.AcceptWaveform(pcm)
    return list(json.loads(recognizer.FinalResult()).get("result", []))


def written_instead(vocabulary: list[str]) -> Iterator[tuple[str, str]]:
    """(word, what stands in its place) for every word of four letters or more that the model heard rightly in the test speech."""
    vosk.SetLogLevel(-1)
    model = vosk.Model(str(MODEL))
    for line in (*conversation(), *samples()):
        for word in words_heard(vosk.KaldiRecognizer(model, SAMPLE_RATE), line.pcm):
            if len(word["word"]) < 4 or word["word"] not in line.text.split():
                continue
            others = json.dumps([w for w in vocabulary if w != word["word"]])
            heard = words_heard(vosk.KaldiRecognizer(model, SAMPLE_RATE, others), line.pcm)
            inside = [h for h in heard if min(h["end"], word["end"]) - max(h["start"], word["start"]) > (h["end"] - h["start"]) / 2]
            if inside:
                yield word["word"], " ".join(h["word"] for h in inside)


def test_what_the_model_writes_for_words_it_lacks_is_mostly_among_the_answers() -> None:
    """Measured: of 119 words, 32 first, 62 among five, 73 among eight (61 %). The bound leaves room for other builds of libvosk."""
    vocabulary = model_words(MODEL)
    assert vocabulary is not None
    index = SoundAlikes(vocabulary)
    pairs = list(written_instead(vocabulary))
    found = 0
    for word, written in pairs:
        answers = [a.text for a in index.near(word, 4 * OFFERED) if word not in a.text.split()][:OFFERED]
        found += written in answers
    assert len(pairs) > 100
    assert found / len(pairs) > 0.5, (found, len(pairs))


def synthetic(count: int) -> list[str]:
    """Words of one to four syllables, as a large vocabulary has them."""
    rng = random.Random(7)
    onsets = ["", *"bcdfghjklmnprstvwz", "br", "cl", "dr", "fl", "gr", "pl", "sh", "st", "str", "th", "tr"]
    rimes = [
        v + c
        for v in ("a", "e", "i", "o", "u", "ee", "oo", "ai", "ou")
        for c in ("", "b", "ck", "d", "ll", "m", "n", "ng", "p", "r", "s", "t")
    ]
    words: set[str] = set()
    while len(words) < count:
        words.add("".join(rng.choice(onsets) + rng.choice(rimes) for _ in range(rng.choice((1, 2, 2, 3, 3, 4)))))
    return sorted(words)


def test_a_search_costs_the_same_bounded_work_in_a_vocabulary_of_200_000() -> None:
    index = SoundAlikes(synthetic(200_000))
    assert len(index) == 200_000
    for word in ("dimwit", "numbskull", "kys", "ass", "urself", "antidisestablishmentarianism"):
        before = index.compared
        index.near(word)
        halves = 2 * len(sounds(word)) * MAX_HALVES
        assert index.compared - before <= MAX_COMPARED + halves
