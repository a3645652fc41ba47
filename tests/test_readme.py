"""README.md and .env.example say what the code says."""

import re

import pytest

from config.settings import env_example
from tests.readme import README, current

pytestmark = pytest.mark.unit


def test_settings_in_the_readme_are_the_settings() -> None:
    assert README.read_text(encoding="utf-8") == current(), "run: python -m tests.readme"


def test_env_example_lists_every_setting() -> None:
    assert (README.parent / ".env.example").read_text(encoding="utf-8") == env_example()


def test_files_that_the_readme_names_exist() -> None:
    text = README.read_text(encoding="utf-8")
    named = re.findall(r"`((?:bot|cogs|moderation|config|tests|bench)/[\w/.-]+)`", text)
    missing = [name for name in named if not (README.parent / name).exists()]
    assert named
    assert missing == []
