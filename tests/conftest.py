"""Every test says what it needs: exactly one of the markers unit, integration, external."""

import pytest

KINDS = {"unit", "integration", "external"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    unmarked = sorted({i.path.name for i in items if len(KINDS & {m.name for m in i.iter_markers()}) != 1})
    if unmarked:
        raise pytest.UsageError(f"give each test exactly one of the markers {sorted(KINDS)}: {', '.join(unmarked)}")
