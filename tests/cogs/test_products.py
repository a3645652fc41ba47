"""`/product` as a moderator uses it: real client, real sockets, awkward names, a store that is away."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cogs import askers
from moderation.errors import CatalogueUnavailable, OutcomeUnknown
from tests.bot.voice.support import until
from tests.fakes import FakeProductStore
from tests.loopback.interaction_data import InvalidOption, NotPermitted
from tests.loopback.replies import Reply
from tests.product_store_contract import AWKWARD
from tests.scenario import MODERATOR, Stage, open_stage

pytestmark = pytest.mark.integration


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        await until(lambda: opened.app.services.catalogue.copy.index is not None)
        yield opened


async def use(stage: Stage, command: str, **options: str) -> Reply:
    return await stage.discord.slash(stage.moderator, stage.alerts, f"product {command}", timeout=30.0, **options)


def seen(reply: Reply) -> str:
    """All that the person reads."""
    assert reply.ephemeral, "answers to moderators are for their eyes only"
    return reply.content + json.dumps(reply.embeds, ensure_ascii=False)


def as_shown(text: str) -> str:
    """Without the signs that keep Discord from formatting."""
    return text.replace("\\", "").replace("\u200b", "")


async def suggested(stage: Stage, typed: str, command: str = "price") -> dict[str, str]:
    found = await stage.discord.autocomplete(stage.moderator, stage.alerts, f"product {command}", "name", typed)
    return {choice["name"]: choice["value"] for choice in found}


def broken(stage: Stage, error: Exception) -> None:
    """From now on the store answers with that."""
    away = FakeProductStore()
    away.away = error
    catalogue = stage.app.services.catalogue
    catalogue._store = catalogue.copy._store = away


async def test_a_product_from_beginning_to_end(stage: Stage) -> None:
    assert "`/product add` adds the first" in seen(await use(stage, "list"))
    assert seen(await use(stage, "add", name=" Blue  Widget ", price="9.5")) == "Added **Blue  Widget** at **9.50**.[]"
    assert "There is a product of that name" in seen(await use(stage, "add", name="BLUE WIDGET", price="1"))
    assert "Blue  Widget · **9.50**" in seen(await use(stage, "list"))
    assert "**Blue  Widget** costs **9.50**." in seen(await use(stage, "price", name="blue widget"))
    assert "Saved: **Blue  Widget** costs **0.10**." in seen(await use(stage, "price", name="blue widget", price="0.10"))
    asked = await use(stage, "remove", name="blue widget")
    assert "Remove **Blue  Widget**, which costs **0.10**?" in seen(asked)
    await stage.discord.click(stage.moderator, asked, "product-keep")
    assert (asked.content, asked.components) == ("Nothing was removed.", [])
    assert "1 product" in seen(await use(stage, "list"))
    asked = await use(stage, "remove", name="blue widget")
    await stage.discord.click(stage.moderator, asked, "product-remove")
    await until(lambda: asked.content == "**Blue  Widget** is removed.")
    assert asked.components == []
    assert "0 products" in seen(await use(stage, "list"))


async def test_what_is_wrong_is_told(stage: Stage) -> None:
    for name, price, told in (
        ("Widget", "1,50", "a point"),
        ("Widget", "free", "digits"),
        ("Widget", "1.005", "two decimals"),
        ("Widget", "-1", "negative"),
        ("x" * 256, "1", "at most 255"),
        (" ", "1", "needs a name"),
        ("a\nb", "1", "line breaks"),
    ):
        assert told in seen(await use(stage, "add", name=name, price=price))
    for command in ("price", "remove"):
        assert "no product of that name" in seen(await use(stage, command, name="Widget"))
    assert "no product of that name" in seen(await use(stage, "price", name="Widget", price="1"))
    assert len(stage.app.services.catalogue.copy) == 0


async def test_names_are_shown_as_they_are_and_format_and_mention_nothing(stage: Stage) -> None:
    names = [
        *AWKWARD,
        "**bold** ~~no~~ ||spoiler||",
        "@everyone <@1> <#2> <t:0:R>",
        "[a](http://b.c) [d](http://e.f)",
        "# head",
        "back\\slash",
    ]
    for name in names:
        reply = await use(stage, "add", name=name, price="1")
        assert as_shown(reply.content) == f"Added **{name.replace(chr(92), '')}** at **1.00**."
        assert name in suggested_names(await suggested(stage, name[:100]), stage)
        assert all(f"\\{sign}" in reply.content for sign in name if sign in "*_~|`<>[]()#:@")
        assert "costs" in seen(await use(stage, "price", name=name))
    listed = seen(await use(stage, "list", search="@everyone"))
    assert "@everyone <@1>" not in listed
    assert "@everyone <@1> <#2> <t:0:R>" in as_shown(listed)
    assert "||spoiler||" not in seen(await use(stage, "list", search="bold"))
    for name in names:
        asked = await use(stage, "remove", name=name)
        await stage.discord.click(stage.moderator, asked, "product-remove")
        await until(lambda reply=asked: "is removed" in reply.content)  # type: ignore[misc]
    assert len(stage.app.services.catalogue.copy) == 0


def suggested_names(choices: dict[str, str], stage: Stage) -> list[str]:
    return [stage.app.services.catalogue.find(value).name for value in choices.values()]


async def test_suggestions_fit_discord_and_stand_for_the_product(stage: Stage) -> None:
    for n in range(30):
        await stage.app.services.catalogue.add(f"Widget {n:02}", n)
    for end in "ab":
        await stage.app.services.catalogue.add("long " * 49 + end, 1)
    await stage.app.services.catalogue.add("💥" * 200, "1234567890.99")
    offered = await suggested(stage, "wIdgét")
    assert len(offered) == 25
    assert next(iter(offered.items())) == ("Widget 00 · 0.00", "Widget 00")
    assert list(await suggested(stage, "t 29", "remove")) == ["Widget 29 · 29.00"]
    assert await suggested(stage, "nothing") == {}
    for typed in ("long", "💥"):
        for label, value in (await suggested(stage, typed)).items():
            assert len(label.encode("utf-16-le")) <= 200
            assert len(value.encode("utf-16-le")) <= 200
            assert "Saved" in seen(await use(stage, "price", name=value, price="2"))
    assert [str(p.price) for p in stage.app.services.catalogue.search("long").products] == ["2.00", "2.00"]


async def test_the_list_is_turned_page_by_page(stage: Stage) -> None:
    for n in range(25):
        await stage.app.services.catalogue.add(f"p{n:02}", n)
    reply = await use(stage, "list")
    assert "25 products" in seen(reply)
    assert "Page 1 of 3" in seen(reply)
    with pytest.raises(InvalidOption, match="disabled"):
        await stage.discord.click(stage.moderator, reply, "product-list-back")
    await stage.discord.click(stage.moderator, reply, "product-list-next")
    assert "p10 · **10.00**" in seen(reply)
    await stage.app.services.catalogue.remove("p00")
    await stage.discord.click(stage.moderator, reply, "product-list-next")
    assert "p20" in seen(reply)
    assert "p24" in seen(reply)
    assert "Page 3 of 3" in seen(reply)
    with pytest.raises(InvalidOption, match="disabled"):
        await stage.discord.click(stage.moderator, reply, "product-list-next")
    await stage.discord.click(stage.moderator, reply, "product-list-back")
    assert "p10" in seen(reply)
    other = stage.discord.add_member(stage.guild, "other mod", permissions=MODERATOR)
    assert "Only who used the command" in (await stage.discord.click(other, reply, "product-list-back")).content


async def test_a_page_of_the_longest_names_fits(stage: Stage) -> None:
    for n in range(10):
        await stage.app.services.catalogue.add("*" * 254 + str(n), "9999999999999999.99")
    assert "10 products" in seen(await use(stage, "list"))


async def test_only_the_asker_may_remove_and_not_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await use(stage, "add", name="Widget", price="1")
    other = stage.discord.add_member(stage.guild, "other mod", permissions=MODERATOR)
    asked = await use(stage, "remove", name="Widget")
    assert "Only who used the command" in (await stage.discord.click(other, asked, "product-remove")).content
    monkeypatch.setattr(askers, "SECONDS", 0.2)
    short = await use(stage, "remove", name="Widget")
    await until(lambda: not short.components)
    assert len(stage.app.services.catalogue.copy) == 1


async def test_http_is_another_door_to_the_same_products(stage: Stage) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{stage.app.api_port}") as client:
        added = await client.post("/databricks/products/", json={"product_name": "From outside", "price": 5})
        assert added.status == 201
        assert "From outside · **5.00**" in as_shown(seen(await use(stage, "list")))
        await use(stage, "price", name="From outside", price="6.10")
        listed = await (await client.get("/databricks/products/")).json()
        assert [p["price"] for p in listed["products"]] == [6.1]
        ready = await (await client.get("/ready")).json()
        assert ready["databricks_sql"]["status"] == "off"
        metrics = await (await client.get("/metrics")).text()
        assert "earshot_products 1.0" in metrics
        assert 'earshot_product_changes_total{outcome="saved"} 2.0' in metrics


async def test_members_do_not_see_the_commands(stage: Stage) -> None:
    for command, options in (("add", {"name": "x", "price": "1"}), ("list", {}), ("remove", {"name": "x"})):
        with pytest.raises(NotPermitted):
            await stage.discord.slash(stage.members["Ben"], stage.alerts, f"product {command}", options)


async def test_while_the_store_is_away_lists_are_read_and_changes_say_that_nothing_was_done(stage: Stage) -> None:
    await use(stage, "add", name="Widget", price="1")
    broken(stage, CatalogueUnavailable("The warehouse is stopped. It wakes by itself; try again in a minute."))
    with pytest.raises(CatalogueUnavailable):
        await stage.app.services.catalogue.copy.refresh()
    listed = seen(await use(stage, "list"))
    assert "Widget" in listed
    assert "a fake store is away; this is what it held <t:" in listed
    assert list(await suggested(stage, "w")) == ["Widget · 1.00"]
    for command, options in (("add", {"name": "x", "price": "1"}), ("price", {"name": "Widget", "price": "2"})):
        text = seen(await use(stage, command, **options))
        assert "The warehouse is stopped" in text
        assert "That did not work" in text
    asked = await use(stage, "remove", name="Widget")
    clicked = await stage.discord.click(stage.moderator, asked, "product-remove")
    await until(lambda: clicked.followups)
    assert "The warehouse is stopped" in json.dumps(clicked.followups[0].embeds)
    assert asked.components, "it can be pressed again"


async def test_a_change_without_an_answer_is_told_as_one_that_may_have_worked(stage: Stage) -> None:
    broken(stage, OutcomeUnknown("The connection broke, so it cannot be told whether it was saved. Look again in a minute."))
    text = seen(await use(stage, "add", name="Widget", price="1"))
    assert "That may not have worked" in text
    assert "cannot be told whether it was saved" in text


async def test_what_is_added_is_there_after_a_restart(tmp_path: Path) -> None:
    for n in range(2):
        async with open_stage(tmp_path) as stage:
            await until(lambda held=stage: held.app.services.catalogue.copy.index is not None)  # type: ignore[misc]
            if n == 0:
                await use(stage, "add", name="Widget 🧑‍🚀", price="12345.67")
            else:
                assert "Widget 🧑‍🚀 · **12345.67**" in seen(await use(stage, "list"))
