"""Every test says what it needs: exactly one of the markers unit, integration, external."""

import hypothesis
import pytest

hypothesis.settings.register_profile("earshot", deadline=None)  # a timing is never an assertion
hypothesis.settings.load_profile("earshot")

KINDS = {"unit", "integration", "external"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    unmarked = sorted({i.path.name for i in items if len(KINDS & {m.name for m in i.iter_markers()}) != 1})
    if unmarked:
        raise pytest.UsageError(f"give each test exactly one of the markers {sorted(KINDS)}: {', '.join(unmarked)}")
    items.sort(
        key=lambda i: (len(i.path.parts), "deploy" not in i.path.name)
    )  # whole evenings first: a worker that begins one late is waited for
