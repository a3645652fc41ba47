"""`make demo DATABRICKS=1` with assertions: products and scores by a workspace that drops answers and goes away."""

import math
from pathlib import Path

import pytest

from tests.databricks_evening import DROPPED, NEW_PRICE, PRODUCTS, open_evening

pytestmark = pytest.mark.integration


async def test_an_evening_with_a_workspace_that_drops_answers_and_whose_endpoint_goes_away(tmp_path: Path) -> None:
    async with open_evening(tmp_path, speed=math.inf) as evening:
        await evening.add_products()
        assert await evening.listed() == list(PRODUCTS) == evening.table()
        added, changed = await evening.lose_both_answers()
        assert added.told == "Added **Sprocket** at **12.50**."
        assert changed.told == f"Saved: **Blue Widget** costs **{NEW_PRICE}**."
        assert evening.table() == [("Blue Widget", NEW_PRICE), PRODUCTS[1], DROPPED, PRODUCTS[2]]
        assert await evening.listed() == evening.table()

        card = await evening.talk()
        assert card is not None
        assert card.embeds[0]["title"] == "Toxicity"
        await evening.take_the_endpoint_away()
        states = await evening.states()
        assert states["databricks_sql"]["status"] == "ok"
        await evening.status()
        assert evening.missing == []
