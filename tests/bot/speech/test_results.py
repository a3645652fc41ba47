"""libvosk's JSON, read."""

import json

import pytest

from bot.speech import results
from moderation.models import Hypothesis, Word

pytestmark = pytest.mark.unit


def word(text: str, start: float, end: float, conf: float = 1.0) -> dict[str, object]:
    return {"word": text, "start": start, "end": end, "conf": conf}


def test_a_final_has_words_in_the_stream_time() -> None:
    answer = json.dumps({"result": [word("shut", 0.5, 0.8, 0.9), word("up", 0.8, 1.0)], "text": "shut up"})
    assert results.final(answer, 10.0) == Hypothesis(
        "shut up", final=True, words=(Word("shut", 10.5, 10.8, 0.9), Word("up", 10.8, 11.0, 1.0))
    )


def test_tokens_that_are_no_words_are_left_out() -> None:
    answer = json.dumps({"result": [word("kill", 0, 1), word("[unk]", 1, 2), word("yourself", 2, 3)], "text": "kill [unk] yourself"})
    final = results.final(answer, 0.0)
    assert final is not None
    assert final.text == "kill yourself"
    assert [w.start for w in final.words] == [0.0, 2.0]
    assert results.partial('{"partial": "kill [unk] your"}') == "kill your"


@pytest.mark.parametrize("answer", ['{"text": ""}', "{}", '{"result": [{"word":"[unk]","start":0,"end":1,"conf":1}], "text":"[unk]"}'])
def test_nothing_said_is_none(answer: str) -> None:
    assert results.final(answer, 0.0) is None


@pytest.mark.parametrize("answer", ['{"partial": ""}', '{"text": ""}', '{"partial": "[unk]"}'])
def test_a_partial_may_be_empty_or_lack_its_key(answer: str) -> None:
    assert results.partial(answer) == ""


def test_confidences_stay_in_range() -> None:
    final = results.final(json.dumps({"result": [word("a", 0, 1, 1.0000002), word("b", 1, 2, -0.1)]}), 0.0)
    assert final is not None
    assert [w.confidence for w in final.words] == [1.0, 0.0]


def test_joining() -> None:
    one = Hypothesis("a", final=True, words=(Word("a", 0, 1, 1),))
    two = Hypothesis("b", final=True, words=(Word("b", 1, 2, 1),))
    assert results.join([]) is None
    assert results.join([one]) is one
    assert results.join([one, two]) == Hypothesis("a b", final=True, words=one.words + two.words)
