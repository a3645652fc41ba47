"""Searching products: what is found, in which order, page by page."""

import base64
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import InvalidInput
from moderation.product_index import MAX_CHOICE, ProductIndex, choice
from moderation.products import Product

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def product(name: str, price: str = "1") -> Product:
    return Product(name, Decimal(price), NOON)


def index(*names: str) -> ProductIndex:
    return ProductIndex(product(name) for name in names)


def found(index: ProductIndex, query: str, limit: int = 50) -> list[str]:
    return [p.name for p in index.search(query, limit).products]


def test_what_begins_with_it_comes_first_then_what_contains_it_each_by_name() -> None:
    shop = index("Blue widget", "widget, small", "Widget", "Anvil", "A widget")
    assert found(shop, "wid") == ["Widget", "widget, small", "A widget", "Blue widget"]
    assert found(shop, "") == ["A widget", "Anvil", "Blue widget", "Widget", "widget, small"]
    assert found(shop, "nothing") == []


@pytest.mark.parametrize("query", ["CAFÉ C", "cafe c", "Cafe\u0301 cr", "  cafe  c ", "\uff43\uff41\uff46\uff45 c"])
def test_case_accents_width_and_blanks_do_not_matter(query: str) -> None:
    assert found(index("Café crème", "Tea"), query) == ["Café crème"]


def test_emoji_and_signs_are_found() -> None:
    shop = index("💥 boom", "100% wool", "a/b", "under_score")
    for query, name in (("💥", "💥 boom"), ("%", "100% wool"), ("a/", "a/b"), ("_", "under_score")):
        assert found(shop, query) == [name]


def walk(index: ProductIndex, query: str, limit: int) -> list[str]:
    names: list[str] = []
    cursor: str | None = None
    while True:
        page = index.search(query, limit, cursor)
        names += [p.name for p in page.products]
        assert len(page.products) <= limit
        if page.cursor is None:
            return names
        cursor = page.cursor


@given(
    st.sets(st.text("ab é", min_size=1).filter(lambda s: bool(s.strip())), max_size=12),
    st.sampled_from(["", "a", "b", "ab"]),
    st.integers(1, 5),
)
def test_pages_together_are_the_whole_search_without_gaps_or_repeats(names: set[str], query: str, limit: int) -> None:
    shop = index(*names)
    whole = found(shop, query, 200)
    assert walk(shop, query, limit) == whole
    assert len(set(whole)) == len(whole) == shop.search(query, 1).total


def test_a_cursor_fits_into_an_address_whatever_the_name() -> None:
    for letter in ("💥", "x", "\u1f80"):  # the last one becomes three characters
        cursor = index(letter * 254 + "a", letter * 254 + "b").search("", 1).cursor
        assert cursor is not None
        assert len(cursor) < 6000


def test_changes_between_pages_move_nothing_else() -> None:
    shop = index("a", "b", "c", "d")
    first = shop.search("", 2)
    shop.drop("a")
    shop.drop("b")
    shop.put(product("aa"))
    shop.put(product("cc"))
    assert [p.name for p in shop.search("", 9, first.cursor).products] == ["c", "cc", "d"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "é", "bnVsbA", base64.b64encode(b"[1]").decode(), base64.b64encode(b'["a",1]').decode(), "W1tb" * 9000]
)
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput, match="Begin without one"):
        index("a").search("", 1, cursor)


def test_a_query_longer_than_any_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at most 255"):
        index("a").search("x" * 256, 1)


def test_what_was_put_and_dropped() -> None:
    shop = index("Widget")
    shop.put(product("WIDGET", "2"))
    shop.drop("other")
    assert (len(shop), found(shop, "")) == (1, ["WIDGET"])
    shop.drop("widget")
    assert (len(shop), found(shop, ""), shop.get("widget")) == (0, [], None)


def test_a_choice_stands_for_its_product_whatever_the_length_of_its_name() -> None:
    names = ["Widget", "x" * 100, "x" * 101, "x" * 255, "💥" * 50, "💥" * 51, "id:0123"]
    shop = index(*names)
    for name in names:
        chosen = choice(product(name))
        assert len(chosen.encode("utf-16-le")) // 2 <= MAX_CHOICE
        assert (shop.find(chosen) or product("none")).name == name
        assert (shop.find(name.upper()) or product("none")).name == name
    assert shop.find("id:" + "0" * 32) is None
    assert shop.find("") is None
