"""Every test says what it needs: exactly one of the markers unit, integration, external."""

import math
from collections.abc import Iterator

import hypothesis
import pytest

from moderation import shedding

hypothesis.settings.register_profile("earshot", deadline=None)  # a timing is never an assertion
hypothesis.settings.load_profile("earshot")

KINDS = {"unit", "integration", "external"}


@pytest.fixture(scope="module", autouse=True)
def no_overload(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of the whole bot speak faster than people do; a busy machine would leave some of it out, as it should.

    A module that says `OVERLOADS = True` is about just that.
    """
    with pytest.MonkeyPatch.context() as patch:
        names = vars(request.module)
        if {"open_stage", "open_bot", "open_evening"} & set(names) and not names.get("OVERLOADS"):
            patch.setattr(shedding, "RISE", (math.inf,) * len(shedding.RISE))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    unmarked = sorted({i.path.name for i in items if len(KINDS & {m.name for m in i.iter_markers()}) != 1})
    if unmarked:
        raise pytest.UsageError(f"give each test exactly one of the markers {sorted(KINDS)}: {', '.join(unmarked)}")
    items.sort(
        key=lambda i: (len(i.path.parts), "deploy" not in i.path.name)
    )  # whole evenings first: a worker that begins one late is waited for
