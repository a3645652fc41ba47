"""Reads any serving endpoint's answer. Pure: JSON in, scores out.

    answer ─▶ one row a text ─▶ number, label, categories ─▶ Score

Settings say where in the answer score and label stand and what they mean. What they leave open is told from the answer: the
shapes are those of scikit-learn models and Hugging Face pipelines behind MLflow, whose scoring server answers
`{"predictions": [one element a row]}` (https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally.html).
No message quotes the answer: it may hold what was said.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from bot.scoring.rows import at_path, rows_of
from config.kinds import ScoreType
from config.output_specs import OutputSpec
from moderation.errors import ScoresUnreadable
from moderation.models import Score

FLAG, OK = "flag", "ok"

TOXICITY_NAMES = ("toxicity", "toxic", "toxicity_score", "score_0_1")
"""Names under which a number is the toxicity itself."""
SCORE_NAMES = ("score", "probability", "confidence")
"""Names under which a number is the toxicity, or, beside a label, how sure the model is of that label (Hugging Face pipelines)."""
LABEL_NAMES = ("label", "prediction", "class")
CATEGORY_NAMES = frozenset(
    {
        *("severe_toxicity", "severe_toxic", "obscene", "threat", "insult", "identity_attack", "identity_hate", "sexual_explicit"),
        *("sexual", "harassment", "hate", "violence", "self_harm", "profanity"),
    }
)
"""Categories that may stand beside a score by name: those of the Jigsaw data sets and of moderation services."""
CATEGORY_FIELDS = ("categories", "category_scores")
"""Fields that hold categories by any name."""
MAX_CATEGORIES = 32
"""Categories of one answer that are read; more are left out."""

MAX_NAME = 50
"""Characters of a category's name; longer ones, and such as cannot be printed, are left out: they would be shown on alert cards."""

POSITIVE = frozenset({"toxic", "toxicity", "1", "label_1", "true", "flag", "flagged", "hate", "hateful", "offensive", "abusive", "yes"})
NEGATIVE = frozenset({"non-toxic", "nontoxic", "non_toxic", "not_toxic", "not toxic", "0", "label_0", "false", "ok", "neutral", "no"})
"""Labels, in lower case, whose meaning is known without DATABRICKS_POSITIVE_CLASS."""


def read_scores(answer: object, count: int, spec: OutputSpec, threshold: float) -> list[Score]:
    """A score for each of `count` texts, in order.

    Args:
        answer: the endpoint's, parsed.
        count: texts that were sent.
        spec: what is known about the endpoint's answers.
        threshold: 0..1, from which on a text counts as toxic.

    Raises `ScoresUnreadable`: what does not fit, and which setting would help.
    """
    values: list[tuple[float, Mapping[str, float]]]
    if spec.score_type is ScoreType.NONE:
        values = [(1.0 if _is_positive(label, spec) else 0.0, {}) for label in _labels(answer, count, spec)]
    elif spec.score_field:
        numbers = [_number(at_path(answer, spec.score_field, i, count), spec) for i in range(count)]
        values = [(number, {}) for number in (_of_label(answer, numbers, spec) if spec.label_field else numbers)]
    else:
        values = [_told(row, spec) for row in rows_of(answer, count)]
    return [Score(score, FLAG if score >= threshold else OK, categories) for score, categories in values]


def _labels(answer: object, count: int, spec: OutputSpec) -> list[object]:
    if spec.label_field:
        return [at_path(answer, spec.label_field, i, count) for i in range(count)]
    return [_label(row) if isinstance(row, Mapping) else row for row in rows_of(answer, count)]


def _of_label(answer: object, numbers: Sequence[float], spec: OutputSpec) -> list[float]:
    """With both fields and the positive class set, a score is the model's confidence in its label."""
    if spec.positive_class is None:
        return list(numbers)
    labels = [at_path(answer, spec.label_field or "", i, len(numbers)) for i in range(len(numbers))]
    return [n if _is_positive(label, spec) else 1.0 - n for n, label in zip(numbers, labels, strict=True)]


def _told(row: object, spec: OutputSpec) -> tuple[float, Mapping[str, float]]:
    """Score and categories of a row about which nothing was set."""
    match row:
        case bool() | str():
            return (1.0 if _is_positive(row, spec) else 0.0), {}
        case int() | float():
            return _number(row, spec), {}
        case Mapping():
            return _from_fields(row, spec)
        case [int() | float(), int() | float() as positive]:  # predict_proba of two classes, the second being the positive one
            return _number(positive, spec), {}
        case [Mapping(), *_]:
            return _from_classes([each for each in row if isinstance(each, Mapping)], spec)
    raise ScoresUnreadable("The endpoint's predictions have no score that can be told. Set DATABRICKS_SCORE_FIELD to where it stands.")


def _from_fields(row: Mapping[Any, Any], spec: OutputSpec) -> tuple[float, Mapping[str, float]]:
    categories = _categories(row, spec)
    for name in (spec.positive_class, *TOXICITY_NAMES):
        if name is not None and _is_number(row.get(name)):
            return _number(row[name], spec), categories
    for name in SCORE_NAMES:
        if _is_number(row.get(name)):
            number = _number(row[name], spec)
            return (number if _stands_alone(row) or _is_positive(_label(row), spec) else 1.0 - number), categories
    if categories:
        return max(categories.values()), categories
    return (1.0 if _is_positive(_label(row), spec) else 0.0), categories


def _from_classes(row: Sequence[Mapping[Any, Any]], spec: OutputSpec) -> tuple[float, Mapping[str, float]]:
    """`[{"label": …, "score": …}, …]`: every class with its probability (Hugging Face, `top_k=None`)."""
    named = {str(_label(each)): _number(next((each[n] for n in SCORE_NAMES if n in each), None), spec) for each in row}
    positive = [score for label, score in named.items() if _known(label, spec)]
    categories = {k: v for k, v in named.items() if k.lower() in CATEGORY_NAMES}
    if not positive and not categories:
        raise ScoresUnreadable("None of the endpoint's classes is known to mean toxic. Set DATABRICKS_POSITIVE_CLASS to the one that does.")
    return max([*positive, *(() if positive else categories.values())]), categories


def _categories(row: Mapping[Any, Any], spec: OutputSpec) -> dict[str, float]:
    nested: Mapping[Any, Any] = next((row[n] for n in CATEGORY_FIELDS if isinstance(row.get(n), Mapping)), {})
    flat = {k: v for k, v in row.items() if str(k).lower() in CATEGORY_NAMES}
    found = [(k, _number(v, spec)) for k, v in (*nested.items(), *flat.items()) if _is_name(k) and _is_number(v)]
    return dict(found[:MAX_CATEGORIES])


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def _stands_alone(row: Mapping[Any, Any]) -> bool:
    """Whether a score is not about a label: there is none, or it is one of ours, which merely says what the score means."""
    label = next((row[n] for n in LABEL_NAMES if n in row), None)
    return label is None or label in (FLAG, OK)


def _label(row: Mapping[Any, Any]) -> object:
    for name in LABEL_NAMES:
        if isinstance(row.get(name), str | int):
            return row[name]
    raise ScoresUnreadable(
        "The endpoint's predictions have neither a score nor a label by a known name. Set DATABRICKS_SCORE_FIELD or DATABRICKS_LABEL_FIELD."
    )


def _known(label: object, spec: OutputSpec) -> bool:
    text = str(label)
    return text.lower() == spec.positive_class.lower() if spec.positive_class is not None else text.lower() in POSITIVE


def _is_positive(label: object, spec: OutputSpec) -> bool:
    """Whether a label means toxic; raises `ScoresUnreadable` where that cannot be told."""
    if not isinstance(label, str | int) and not (isinstance(label, float) and label.is_integer()):
        raise ScoresUnreadable("The endpoint gives no label where one should stand. Set DATABRICKS_LABEL_FIELD to where it stands.")
    text = str(int(label)) if isinstance(label, float) else str(label)
    if spec.positive_class is None and text.lower() not in POSITIVE | NEGATIVE:
        raise ScoresUnreadable("The meaning of the endpoint's label is unknown. Set DATABRICKS_POSITIVE_CLASS to the one that means toxic.")
    return _known(text, spec)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object, spec: OutputSpec) -> float:
    """A raw score as 0..1."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ScoresUnreadable("The endpoint gives no number where the score should stand. Set DATABRICKS_SCORE_FIELD to where it stands.")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ScoresUnreadable("The endpoint gives a score that is not a finite number. Look into the model: it fails on some input.")
    match spec.score_type:
        case ScoreType.LOGIT:
            return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(max(value, -700.0)) / (1 + math.exp(max(value, -700.0)))
        case ScoreType.PERCENT:
            return _within(value, 100.0)
        case _:
            return _within(value, 1.0)


def _within(value: float, top: float) -> float:
    slack = top * 1e-6  # what rounding in single precision leaves above 1
    if not -slack <= value <= top + slack:
        advice = "percent_0_100 or logit" if top == 1.0 else "probability_0_1 or logit"
        raise ScoresUnreadable(f"The endpoint gives a score outside 0 to {top:g}. Set DATABRICKS_SCORE_TYPE to what it is: {advice}.")
    return min(max(value / top, 0.0), 1.0)
