"""The public sets, as texts to learn from. Where they come from and under which licences: `bench/data/toxicity/README.md`."""

import csv
import gzip
import html
import io
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from bench.training.corpus import Example

PUBLIC = Path(__file__).parents[1] / "data" / "toxicity" / "public"
_NOISE = re.compile(r"https?://\S+|@\w+|\brt\b|&#\d+;|[#\"]", re.IGNORECASE)
_RACIAL = "racial / ethnic slurs"
_GENDER = "sexual orientation / gender"
DAVIDSON_TARGETS = {"0": 0.95, "1": 0.75, "2": 0.03}
"""hate, offensive, neither: much of what its raters called offensive is profanity among friends."""


def _rows(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(PUBLIC / name, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(io.StringIO(file.read()))


def clean(text: str) -> str:
    """Without links, user names and markup, at most 60 words."""
    return " ".join(_NOISE.sub(" ", html.unescape(html.unescape(text))).split()[:60])


def davidson() -> list[Example]:
    """Tweets."""
    return [Example(clean(r["tweet"]), DAVIDSON_TARGETS[r["class"]], "?", "davidson") for r in _rows("davidson_labeled_data.csv.gz")]


def surge() -> list[Example]:
    """Comments from several networks."""
    return [Example(clean(r["text"]), 0.93 if r["is_toxic"] == "Toxic" else 0.03, "?", "surge") for r in _rows("surge_toxicity_en.csv.gz")]


def wikipedia() -> list[Example]:
    """Talk pages."""
    return [
        Example(clean(r["comment"]), 0.93 if r["toxic"] == "True" else 0.03, "?", "wikipedia")
        for r in _rows("wikipedia_toxicity_nonfuzzed.csv.gz")
    ]


def madlibs(count: int, seed: int) -> list[Example]:
    """Templated sentences that name groups; a sample."""
    rows = list(_rows("bias_madlibs_77k.csv.gz"))
    chosen = random.Random(seed).sample(rows, count)  # noqa: S311 (training data)
    return [Example(r["Text"].lower(), 0.93 if r["Label"] == "BAD" else 0.02, "?", "madlibs") for r in chosen]


def profanity() -> Iterator[tuple[str, str, float]]:
    """(term, kind, severity 0..1) of both profanity lists. Kinds: `surge:…` and `dsojevic:…`."""
    for row in _rows("surge_profanity_en.csv.gz"):
        yield row["text"].lower(), f"surge:{row['category_1']}", float(row["severity_rating"]) / 3
    with gzip.open(PUBLIC / "dsojevic_profanity_en.json.gz", "rt", encoding="utf-8") as file:
        for entry in json.load(file):
            for form in entry["match"].split("|"):
                yield form.strip("*").lower(), f"dsojevic:{entry['tags'][0]}", entry["severity"] / 4


def terms() -> list[Example]:
    """The profanity lists' terms as texts: slurs are abuse by themselves, other words by their severity."""
    found = []
    for term, kind, severity in profanity():
        slur = kind in {f"surge:{_RACIAL}", f"surge:{_GENDER}", "dsojevic:racial", "dsojevic:lgbtq"}
        target = min(0.95, 0.5 + severity / 2) if slur else 0.75 * severity
        found.append(Example(term, target, "hate" if slur and severity > 0.5 else "?", "terms"))
    return found
