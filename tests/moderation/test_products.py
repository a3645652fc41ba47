"""Names and prices: what is kept of them, what counts as the same, what is refused."""

from datetime import UTC, datetime
from decimal import Decimal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import InvalidProduct
from moderation.products import MAX_PRICE, Product, name_key, parse_name, parse_price

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (0, "0.00"),
        ("0", "0.00"),
        ("-0", "0.00"),
        ("0.10", "0.10"),
        (" 9.5 ", "9.50"),
        (".5", "0.50"),
        ("7.", "7.00"),
        ("+3", "3.00"),
        ("0009.990", "9.99"),
        (100, "100.00"),
        (Decimal("0.1"), "0.10"),
        (Decimal("1e2"), "100.00"),
        (Decimal("1.500"), "1.50"),
        (Decimal("-0.0"), "0.00"),
        (MAX_PRICE, "9999999999999999.99"),
        ("9999999999999999.99", "9999999999999999.99"),
    ],
)
def test_prices_are_kept_exactly(given: object, kept: str) -> None:
    assert str(parse_price(given)) == kept


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Decimal("1e400"), "too many digits"),
        (Decimal("1e999999999"), "too many digits"),
        ("10000000000000000", "too many digits"),
        (10**400, "too many digits"),
        (Decimal("0.001"), "not rounded"),
        (Decimal("1e-999999999"), "not rounded"),
        ("1.005", "not rounded"),
        (Decimal("NaN"), "NaN"),
        (Decimal("sNaN"), "NaN"),
        (Decimal("-Infinity"), "Infinity"),
        (-1, "negative"),
        ("-0.01", "negative"),
        ("1,50", "a point"),
        ("1,000.00", "a point"),
        ("1e2", "in digits"),
        ("NaN", "in digits"),
        ("Infinity", "in digits"),
        ("١٢", "in digits"),
        ("1_000", "in digits"),
        ("0x10", "in digits"),
        ("free", "in digits"),
        ("--1", "in digits"),
        (".", "in digits"),
        ("", "in digits"),
        ("9" * 200, "in digits"),
        ("$5", "in digits"),
        (True, "a number"),
        (None, "a number"),
        (0.1, "a number"),
        ([1], "a number"),
    ],
)
def test_what_is_no_price_is_told(given: object, told: str) -> None:
    with pytest.raises(InvalidProduct, match=told):
        parse_price(given)


@given(st.decimals(min_value=0, max_value=MAX_PRICE, places=2))
def test_every_price_of_two_decimals_comes_back_the_same(price: Decimal) -> None:
    assert parse_price(str(price)) == parse_price(price) == price


@pytest.mark.parametrize(
    "name",
    ["Widget", "a/b\\c", "💥 🧑‍🚀", "'; DROP TABLE products;--", "<script>", "100%", "?", "#1", "x" * 255, "日本語", "a  b", "é", "%2F"],
)
def test_names_are_kept_as_they_were_given(name: str) -> None:
    assert parse_name(f"  {name}\t") == name


def test_a_name_is_kept_composed() -> None:
    assert parse_name(normalize("NFD", "Café")) == normalize("NFC", "Café")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "needs a name"),
        (" \n ", "needs a name"),
        ("x" * 256, "at most 255 characters, this one has 256"),
        ("a\nb", "control"),
        ("a\x00b", "control"),
        ("a\x7f", "control"),
        ("a\u2028b", "control"),
        ("half \ud83d", "halves"),
        ("evil \u202ecod.exe", "control"),
        ("\u200b\u200d", "visible"),
        ("\ufdfa" * 255, "simpler"),
        (".", "web addresses"),
        ("..", "web addresses"),
    ],
)
def test_names_that_cannot_be_are_told_and_not_repeated(name: str, told: str) -> None:
    with pytest.raises(InvalidProduct, match=told) as refused:
        parse_name(name)
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Widget", "wIDGET"), ("Straße", "STRASSE"), ("a  b", "A\u00a0B"), ("Ⅳ", "iv"), ("Café", normalize("NFD", "CAFÉ")), ("ﬁn", "FIN")],
)
def test_names_that_count_as_the_same(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_accents_tell_products_apart() -> None:
    assert name_key("Pate") != name_key("Pâté")


@given(st.text())
def test_the_key_of_a_key_is_the_key(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)


def test_a_product_is_always_one_that_can_be() -> None:
    product = Product(" Café ", Decimal("1.5"), NOON)
    assert (product.name, str(product.price), product.key) == ("Café", "1.50", "café")
    with pytest.raises(InvalidProduct):
        Product("x", Decimal("-1"), NOON)
    with pytest.raises(InvalidProduct):
        Product("\n", Decimal(1), NOON)
