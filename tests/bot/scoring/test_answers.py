"""Any endpoint's answer: what is told from it, what settings say about it, and what does not fit."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.scoring.answers import MAX_CATEGORIES, read_scores
from config.kinds import ScoreType
from config.output_specs import OutputSpec
from moderation.errors import ScoresUnreadable

pytestmark = pytest.mark.unit


def scores(answer: object, count: int = 2, **spec: Any) -> list[float]:  # noqa: ANN401
    return [s.score for s in read_scores(answer, count, OutputSpec.model_validate(spec), 0.7)]


@pytest.mark.parametrize(
    "predictions",
    [
        [0.9, 0.2],
        [{"toxicity": 0.9}, {"toxicity": 0.2}],
        [{"score": 0.9}, {"score": 0.2}],
        [{"score": 0.9, "label": "flag"}, {"score": 0.2, "label": "ok"}],
        [{"score": 0.9, "label": "toxic"}, {"score": 0.8, "label": "non-toxic"}],
        [[0.1, 0.9], [0.8, 0.2]],
        [
            [{"label": "toxic", "score": 0.9}, {"label": "neutral", "score": 0.1}],
            [{"label": "neutral", "score": 0.8}, {"label": "toxic", "score": 0.2}],
        ],
        {"toxicity": [0.9, 0.2]},
    ],
    ids=lambda p: json.dumps(p)[:50],
)
def test_shapes_that_explain_themselves(predictions: object) -> None:
    for answer in ({"predictions": predictions}, {"outputs": predictions}, predictions):
        assert scores(answer) == pytest.approx([0.9, 0.2])


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [(["toxic", "ok"], [1, 0]), ([1.0, 0.0], [1, 0]), ([True, False], [1, 0]), ([{"label": 1}, {"label": 0}], [1, 0])],
)
def test_labels_alone(predictions: object, expected: list[float]) -> None:
    assert scores({"predictions": predictions}) == expected
    assert scores({"predictions": predictions}, score_type=ScoreType.NONE) == expected


def test_a_positive_class_of_ones_own() -> None:
    answer = {"predictions": ["Beleidigung", "harmlos"]}
    assert scores(answer, positive_class="beleidigung") == [1, 0]
    assert scores(answer, score_type="none", positive_class="harmlos") == [0, 1]
    with pytest.raises(ScoresUnreadable, match="DATABRICKS_POSITIVE_CLASS"):
        scores(answer)


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"predictions": [{"score": 0.9}, {"score": 0.2}]}, "predictions.0.score"),
        ({"predictions": [{"score": 0.9}, {"score": 0.2}]}, "predictions.score"),
        ({"predictions": [{"a": {"b": 0.9}}, {"a": {"b": 0.2}}]}, "a.b"),
        ({"predictions": [[0.5, 0.9], [0.5, 0.2]]}, "predictions.0.1"),
        ({"predictions": {"p": [0.9, 0.2]}}, "predictions.p.0"),
        ({"predictions": {"p": [0.9, 0.2]}}, "predictions.p"),
        ({"result": {"rows": [{"0": 0.9}, {"0": 0.2}]}}, "result.rows.0.0"),
    ],
)
def test_a_path_is_written_for_the_first_text(answer: object, path: str) -> None:
    assert scores(answer, score_field=path) == [0.9, 0.2]


def test_a_label_set_beside_a_score_says_what_it_is_about() -> None:
    answer = {"predictions": [{"p": 0.9, "l": "bad"}, {"p": 0.8, "l": "good"}]}
    fields: dict[str, Any] = {"score_field": "predictions.0.p", "label_field": "predictions.0.l"}
    assert scores(answer, **fields, positive_class="bad") == pytest.approx([0.9, 0.2])
    assert scores(answer, **fields) == [0.9, 0.8]
    assert scores(answer, score_type="none", label_field="l", positive_class="bad") == [1, 0]


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [("percent_0_100", 90, 0.9), ("logit", 0.0, 0.5), ("logit", -1e6, 0.0), ("logit", 1e6, 1.0), ("probability_0_1", 1.0000001, 1.0)],
)
def test_score_types(kind: str, raw: float, expected: float) -> None:
    assert scores({"predictions": [raw]}, 1, score_type=kind) == pytest.approx([expected])


def test_categories_come_along_and_only_they() -> None:
    row = {"toxicity": 0.9, "insult": 0.8, "threat": 0.1, "latency_ms": 0.4}
    (score,) = read_scores({"predictions": [row]}, 1, OutputSpec(), 0.7)
    assert (score.label, dict(score.categories)) == ("flag", {"insult": 0.8, "threat": 0.1})
    (nested,) = read_scores({"predictions": [{"score": 0.5, "categories": {f"c{n}": 0.1 for n in range(99)}}]}, 1, OutputSpec(), 0.7)
    assert (nested.label, len(nested.categories)) == ("ok", MAX_CATEGORIES)
    assert scores({"predictions": [{"insult": 0.8, "threat": 0.1}]}, 1) == [0.8]


@pytest.mark.parametrize(
    ("answer", "spec", "said"),
    [
        ({"predictions": [0.5]}, {}, "1 predictions for 2 texts"),
        ({"predictions": {"p": [0.5]}}, {"score_field": "predictions.p"}, "1 predictions for 2 texts"),
        ({"predictions": [0.5, math.nan]}, {}, "finite"),
        ({"predictions": [0.5, 10**400]}, {}, "finite"),
        ({"predictions": [0.5, 93.0]}, {}, "percent_0_100"),
        ({"predictions": [50.0, 193.0]}, {"score_type": "percent_0_100"}, "outside 0 to 100"),
        ({"predictions": [None, None]}, {}, "DATABRICKS_SCORE_FIELD"),
        ({"predictions": [{"a": "b"}, {}]}, {}, "DATABRICKS_SCORE_FIELD"),
        ({"predictions": [{"p": "x"}, {"p": "y"}]}, {"score_field": "p"}, "no number"),
        ({"predictions": [{"p": 1}, {"p": 1}]}, {"score_field": "predictions.0.q"}, "no 'q' after 'predictions.0'"),
        ({"choices": 1}, {}, "no list of predictions"),
        ({"predictions": "spoken words"}, {}, "no list of predictions"),
        ({"predictions": [[0.1, 0.2, 0.7]] * 2}, {}, "DATABRICKS_SCORE_FIELD"),
        ({"predictions": [[{"label": "x", "score": 1.0}]] * 2}, {}, "DATABRICKS_POSITIVE_CLASS"),
        ({"predictions": [{"l": [1]}, {"l": [1]}]}, {"score_type": "none", "label_field": "l"}, "DATABRICKS_LABEL_FIELD"),
        (None, {}, "no list of predictions"),
    ],
)
def test_what_does_not_fit_is_said_with_what_to_do(answer: object, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ScoresUnreadable) as caught:
        scores(answer, **spec)
    assert said in str(caught.value)
    assert "spoken words" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["score", "label", "toxicity", "predictions", "0"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from([{}, {"score_field": "predictions.0.score"}, {"score_type": "none"}, {"score_type": "logit"}]))
def test_whatever_comes_is_a_score_or_a_clear_error(answer: object, spec: dict[str, Any]) -> None:
    try:
        found = scores({"predictions": answer}, 1, **spec)
    except ScoresUnreadable:
        return
    assert all(0.0 <= score <= 1.0 for score in found)


def test_names_of_categories_that_no_card_could_show_are_left_out() -> None:
    named: dict[str, float] = {"threat": 0.8, "x" * 50: 0.1, "x" * 51: 0.9, "": 0.9, "a\nb": 0.9, "\u202ehate": 0.9, "\ud800": 0.9}
    (found,) = read_scores({"predictions": [{"toxicity": 0.9, "categories": named}]}, 1, OutputSpec(), 0.7)
    assert found.categories == {"threat": 0.8, "x" * 50: 0.1}
    many = {f"c{n}": 0.5 for n in range(100)}
    (found,) = read_scores({"predictions": [{"toxicity": 0.9, "categories": many}]}, 1, OutputSpec(), 0.7)
    assert len(found.categories) == MAX_CATEGORIES
