"""Keeps the generated part of README.md true: `python -m tests.readme` rewrites it, a test compares."""

import re
from pathlib import Path

from config.settings import settings_table

README = Path(__file__).parent.parent / "README.md"
TESTS_README = Path(__file__).parent / "README.md"
BENCH_README = README.parent / "bench" / "README.md"


def with_section(text: str, name: str, body: str) -> str:
    """`text` with what stands between `<!-- name -->` and `<!-- /name -->` replaced."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"there is no section {name} to write to")
    return pattern.sub(lambda m: f"{m[1]}{body.strip()}\n{m[2]}", text)


def current() -> str:
    """README.md as it should be."""
    return with_section(README.read_text(encoding="utf-8"), "settings", settings_table())


if __name__ == "__main__":
    README.write_text(current(), encoding="utf-8")
