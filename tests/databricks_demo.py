"""`make demo DATABRICKS=1`: the evening with a Databricks workspace, shown as it happens. Only Discord and Databricks are loopbacks.

Exit code 0 when everything happened that should; what did not is named.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from config.logs import configure
from tests.databricks_evening import PRODUCTS, Evening, Lost, Row, open_evening
from tests.demo_display import Display, card

SPEED = 2.0
"""Media seconds a second."""


async def run(console: Console) -> int:
    """Play it; 0 when nothing is missing."""
    configure("ERROR")
    with tempfile.TemporaryDirectory(prefix="earshot-demo-") as folder:
        async with open_evening(Path(folder), speed=SPEED, api_port=int(os.environ.get("API_PORT", "8080"))) as evening:
            console.print(f"The bot is connected to a loopback Discord; HTTP on http://127.0.0.1:{evening.stage.app.api_port}/health")
            console.print(f"Its workspace is a loopback Databricks on {evening.workspace.url}; it signs in as a service principal.")
            await _products(evening, console)
            await _talk(evening, console)
        for sentence in evening.missing:
            console.print(f"[red]did not happen: {sentence}", soft_wrap=True)
        if not evening.missing:
            console.print("\n[green]Everything happened that should.")
        return 1 if evening.missing else 0


async def _products(evening: Evening, console: Console) -> None:
    console.rule("Products, in the SQL warehouse")
    for (name, price), told in zip(PRODUCTS, await evening.add_products(), strict=True):
        console.print(f"/product add name:{name} price:{price}\n    {told}")
    console.print(_table("GET /databricks/products/", await evening.listed()))
    console.rule("Answers that are lost after the statement was carried out")
    for what, lost in zip(("/product add", "/product price"), await evening.lose_both_answers(), strict=True):
        console.print(f"{what}, the connection is cut instead of an answer\n    {lost.told}")
        console.print(_both(lost))


async def _talk(evening: Evening, console: Console) -> None:
    console.rule("What no term of the lexicon matches, flagged by the serving endpoint")
    with Display(console) as display:
        evening.stage.app.events.subscribe(display)
        found = await evening.talk()
        if found is not None:
            console.print(card(found))
        console.rule("The endpoint goes away")
        found = await evening.take_the_endpoint_away()
        if found is not None:
            console.print(card(found))
    for name, state in (await evening.states()).items():
        colour = {"ok": "green", "off": "dim"}.get(state["status"], "yellow")
        console.print(f"/ready  {name:>19}  [{colour}]{state['status']:<9}[/] {state['detail']}", soft_wrap=True)
    console.print(Panel(await evening.status(), title="/voice status", title_align="left", border_style="yellow"))


def _both(lost: Lost) -> Table:
    grid = Table.grid(padding=(0, 4))
    grid.add_row(_table("the table before", lost.before), _table("the table after", lost.after))
    return grid


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table("product", title=title)
    table.add_column("price", justify="right")
    for name, price in rows:
        table.add_row(name, price)
    return table
