"""README.md and .env.example say what the code says."""

import re
from pathlib import Path

import pytest

from config.settings import env_example
from tests.faults import FAULTS
from tests.readme import BENCH_README, README, TESTS_README, current

pytestmark = pytest.mark.unit


def test_settings_in_the_readme_are_the_settings() -> None:
    assert README.read_text(encoding="utf-8") == current(), "run: python -m tests.readme"


def test_env_example_lists_every_setting() -> None:
    assert (README.parent / ".env.example").read_text(encoding="utf-8") == env_example()


@pytest.mark.parametrize("readme", [README, BENCH_README, TESTS_README], ids=["README", "bench", "tests"])
def test_files_that_it_names_exist(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    named = re.findall(r"`((?:bot|cogs|moderation|config|tests|bench)/[\w/.-]+)`", text)
    missing = [name for name in named if not (README.parent / name).exists()]
    assert named
    assert missing == []
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", text)
    assert [link for link in links if not (readme.parent / link).exists()] == []
    headings = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_every_fault_has_its_row() -> None:
    text = TESTS_README.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*?) \|", text[text.index("<!-- faults -->") : text.index("<!-- /faults -->")], re.MULTILINE)
    assert rows[2:] == list(FAULTS)
