"""The table that holds products: what it may look like, and the statements for it.

Earshot's own has product_key, product_name, price and updated_at. One that is there already needs product_name and price only:

    without product_key   products are found by reading all names and comparing them here; fine for thousands, not for millions
    with another one      (a stock number, say) as without; it is left alone
    without updated_at    products say `UNKNOWN_TIME`
    price                 DECIMAL, a whole number or DOUBLE; a price that the column cannot hold exactly is refused
    further columns       are left alone, and stay NULL (or at their default) in new rows
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from moderation.errors import CatalogueUnavailable, InvalidProduct
from moderation.products import MAX_PRODUCTS, Product, name_key

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""`updated_at` where the table does not keep it."""

_DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")
_WHOLE = {"tinyint": 2**7 - 1, "smallint": 2**15 - 1, "int": 2**31 - 1, "bigint": 2**63 - 1}
"""Largest values, by type."""


@dataclass(frozen=True, slots=True)
class ProductTable:
    """One table, as it was found."""

    name: str
    """Quoted."""
    price_type: str
    keyed: bool = True
    """Products are found by product_key."""
    fills_key: bool = True
    """New rows get a product_key."""
    dated: bool = True

    @property
    def columns(self) -> str:
        """Those of a product, in `read`'s order."""
        return "product_name, price, updated_at" if self.dated else "product_name, price"

    def select(self, where: str = "") -> str:
        """All products, or some."""
        order = "product_key" if self.keyed else "product_name"
        return f"SELECT {self.columns} FROM {self.name} {where} ORDER BY {order} LIMIT {MAX_PRODUCTS}"  # noqa: S608 (quoted)

    def keys(self) -> str:
        """product_key and product_name of all products."""
        return f"SELECT product_key, product_name FROM {self.name} LIMIT {MAX_PRODUCTS}"  # noqa: S608 (quoted)

    def insert(self) -> str:
        """`:name`, `:price`, and where there is room `:key` and `:at`, unless it is there. May be sent twice."""
        given = {"product_name": ":name", "price": ":price"}
        given |= {"product_key": ":key"} if self.fills_key else {}
        given |= {"updated_at": ":at"} if self.dated else {}
        match = "product_key" if self.keyed else "product_name"
        source = ", ".join(f"{value} AS {column}" for column, value in given.items())
        return (
            f"MERGE INTO {self.name} AS t USING (SELECT {source}) AS s ON t.{match} = s.{match} "  # noqa: S608 (quoted)
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(given)}) VALUES ({', '.join(f's.{column}' for column in given)})"
        )

    def update(self, where: str) -> str:
        """An absolute price: may be sent twice."""
        dated = ", updated_at = :at" if self.dated else ""
        return f"UPDATE {self.name} SET price = :price{dated} {where}"  # noqa: S608 (quoted)

    def delete(self, where: str) -> str:
        """May be sent twice."""
        return f"DELETE FROM {self.name} {where}"  # noqa: S608 (quoted)

    def read(self, row: Sequence[Any]) -> Product:
        """A row of `select`. Raises `InvalidProduct` where there can be no such product."""
        name, price = row[0], row[1]
        if not isinstance(name, str) or price is None:
            raise InvalidProduct("A product needs a name and a price.")
        return Product(
            name, Decimal(repr(price)) if isinstance(price, float) else Decimal(price), _time(row[2]) if self.dated else UNKNOWN_TIME
        )

    def check(self, price: Decimal) -> None:
        """Raises `InvalidProduct` where the column cannot hold the price exactly."""
        if not self._holds(price):
            raise InvalidProduct(f"The catalogue's price column is {self.price_type.upper()} and cannot hold {price:,} exactly.")

    def _holds(self, price: Decimal) -> bool:
        if found := _DECIMAL.fullmatch(self.price_type):
            precision, scale = map(int, found.groups())
            return price == round(price, scale) and price < Decimal(10) ** (precision - scale)
        if most := _WHOLE.get(self.price_type):
            return price == int(price) and price <= most
        return Decimal(repr(float(price))) == price


def quoted(table: str) -> str:
    """`catalog.schema.table` → each part in backticks."""
    return ".".join("`" + part.strip("`").replace("`", "``") + "`" for part in table.split("."))


def create(table: str) -> str:
    """Earshot's own. Delta does not enforce the key: `MERGE` on it keeps products single."""
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(table)} (product_key STRING NOT NULL, product_name STRING NOT NULL, "
        "price DECIMAL(18, 2) NOT NULL, updated_at TIMESTAMP NOT NULL) COMMENT 'Products, kept by Earshot'"
    )


def describe(table: str) -> str:
    """Its columns and their types."""
    return f"DESCRIBE TABLE {quoted(table)}"


def understand(table: str, described: Iterable[Sequence[Any]]) -> ProductTable:
    """What `describe` says of a table. Raises `CatalogueUnavailable` where products cannot be kept in it, saying what is missing."""
    types: dict[str, str] = {}
    for name, kind, *_ in described:
        if not name or name.startswith("#"):  # partitions and clustering follow, which name columns again
            break
        types[name.lower()] = kind.lower()
    if missing := sorted({"product_name", "price"} - types.keys()):
        raise CatalogueUnavailable(
            f"The table in DATABRICKS_PRODUCTS_TABLE has no column {' and no column '.join(missing)}. "
            "Name another table, or one that is not there yet: Earshot makes it."
        )
    if types["product_name"] != "string" and not types["product_name"].startswith("varchar"):
        raise CatalogueUnavailable(f"The column product_name is {types['product_name'].upper()}; it has to be STRING.")
    price = types["price"]
    if not (_DECIMAL.fullmatch(price) or price in _WHOLE or price == "double"):
        raise CatalogueUnavailable(
            f"The column price is {price.upper()}; it has to be DECIMAL(18,2), another DECIMAL, an integer or DOUBLE."
        )
    dated = types.get("updated_at", "").startswith("timestamp")
    keyed = types.get("product_key") == "string"
    return ProductTable(quoted(table), price, keyed=keyed, fills_key=keyed, dated=dated)


def recognise(table: ProductTable, keys: Sequence[Sequence[Any]]) -> ProductTable:
    """The table, as the keys in it are those of their names or not.

    Where most are, they are ours and somebody wrote other rows beside: those are found by name too, and new rows get their key.
    """
    named = [(key, name) for key, name in keys if isinstance(name, str)]
    ours = sum(key == name_key(name) for key, name in named)
    return table if ours == len(named) else replace(table, keyed=False, fills_key=2 * ours > len(named))


def _time(value: Any) -> datetime:  # noqa: ANN401 (what the connector gives)
    """Sessions are in UTC; the connector does not always say so."""
    if not isinstance(value, datetime):
        return UNKNOWN_TIME
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
