"""An evening with a Databricks workspace: products in its warehouse, sentences scored by its endpoint, and both of them failing.

The real bot and the real connector, a loopback Discord, a loopback workspace on one port. `make demo DATABRICKS=1` shows it; the
end-to-end test asserts on it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.oauth import OAuthPart
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.tokens import Tokens
from tests.loopback.databricks.warehouse import WarehousePart
from tests.loopback.databricks.workspace import LoopbackWorkspace
from tests.loopback.state import Message
from tests.scenario import Line, Stage, conversation, open_stage

PRODUCTS = (("Blue Widget", "9.99"), ("Gadget", "100.00"), ("Straße 7, Käse", "0.10"))
DROPPED = ("Sprocket", "12.50")
"""Added while the answer is lost."""
NEW_PRICE = "8.49"
NO_TERM_MATCHES = "sorry i was angry that was a bad joke"
HARMLESS = "nice shot that was a great round"
WHILE_AWAY = "you are a stupid idiot and everybody knows it"
"""Has terms of the lexicon, and scores high for the scorer that comes along."""
CARD_SECONDS = 60.0
"""How long a card may take before the evening goes on without it."""
SCORE_SECONDS = 10.0
"""How long the endpoint may take for a score: machines that show this are busy."""

Row = tuple[str, str]
"""A product's name and its price."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A change that was carried out, and whose answer never came."""

    told: str
    """What the moderator read."""
    before: list[Row]
    """The warehouse's table."""
    after: list[Row]


@dataclass(slots=True)
class Evening:
    """The stage, the workspace, and what did not happen."""

    stage: Stage
    workspace: LoopbackWorkspace
    warehouse: WarehousePart
    serving: ServingPart
    speed: float
    """Media seconds a second."""
    missing: list[str] = field(default_factory=list)
    """What should have happened and did not, a sentence each."""

    async def add_products(self) -> list[str]:
        """By `/product add`; what the moderator reads each time."""
        told = [(await self._ask("product add", name=name, price=price)) for name, price in PRODUCTS]
        self._expect(all("Added" in each for each in told), "Every product is said to be added.")
        return told

    async def listed(self) -> list[Row]:
        """Over HTTP, page after page."""
        rows: list[Row] = []
        cursor = ""
        while True:
            status, text = await self.http("GET", f"/databricks/products/?limit=2{cursor}")
            page = json.loads(text, parse_float=str, parse_int=str)
            self._expect(status == 200, f"The products are listed over HTTP (it answered {status}).")
            rows += [(p["product_name"], p["price"]) for p in page.get("products", [])]
            if not page.get("next_cursor"):
                return rows
            cursor = f"&cursor={page['next_cursor']}"

    async def lose_an_answer(self, change: str, *, command: str, statement: bytes, **options: str) -> Lost:
        """A slash command whose statement is carried out by the warehouse, and whose answer is dropped."""
        fault = Fault(self.warehouse.path, body=statement, when="after", drop=True)
        self.workspace.faults.append(fault)
        before = self.table()
        told = await self._ask(command, **options)
        after = self.table()
        self._expect(fault.used == 1, f"The answer to the {change} is dropped.")
        self._expect(options["price"] in told and "cannot" not in told, f"The {change} is said to be made.")
        rows = [row for row in after if row[0] == options["name"]]
        self._expect(rows == [(options["name"], options["price"])], f"The {change} is in the table, once.")
        others = [row for row in before if row[0] != options["name"]]
        self._expect([row for row in after if row[0] != options["name"]] == others, f"The {change} leaves the others alone.")
        return Lost(told, before, after)

    async def lose_both_answers(self) -> tuple[Lost, Lost]:
        """To a product that is added, and to a price that is changed."""
        name, price = DROPPED
        added = await self.lose_an_answer("addition", command="product add", statement=b"MERGE INTO", name=name, price=price)
        changed = await self.lose_an_answer(
            "price change", command="product price", statement=b"UPDATE ", name=PRODUCTS[0][0], price=NEW_PRICE
        )
        return added, changed

    async def talk(self) -> Message | None:
        """Somebody is friendly; somebody says what no term matches: the endpoint's card."""
        await self._say(HARMLESS)
        card = await self._say(NO_TERM_MATCHES)
        flags = self._detectors(NO_TERM_MATCHES)
        self._expect(flags == {"databricks"}, f"The endpoint alone flags the sentence that no term matches (it was: {_names(flags)}).")
        self._expect(self.stage.alerted() == {NO_TERM_MATCHES}, "Moderators are told of that sentence, and of nothing else.")
        return card

    async def take_the_endpoint_away(self) -> Message | None:
        """From now on it cuts every connection; then somebody insults: the lexicon's card."""
        self.workspace.faults.append(Fault("/serving-endpoints/", drop=True, times=1_000_000))
        card = await self._say(WHILE_AWAY)
        flags = self._detectors(WHILE_AWAY)
        self._expect("lexicon" in flags, "Lexicon alerts go on without the endpoint.")
        self._expect("embedded" in flags, f"The embedded scorer stands in (flags by {_names(flags)}).")
        return card

    async def states(self) -> dict[str, dict[str, str]]:
        """`/ready`, which says that the endpoint is away and all else is well."""
        status, text = await self.http("GET", "/ready")
        found: dict[str, dict[str, str]] = json.loads(text)
        self._expect(status == 200, f"The bot is ready without the endpoint (/ready answered {status}).")
        degraded = {name for name, state in found.items() if state["status"] not in {"ok", "off"}}
        self._expect(degraded == {"databricks_serving"}, f"/ready says that the endpoint alone is degraded (it was: {_names(degraded)}).")
        return found

    async def status(self) -> str:
        """`/voice status`, as far as it speaks of the endpoint."""
        reply = await self.stage.discord.slash(self.stage.moderator, self.stage.alerts, "voice status", timeout=30.0)
        lines = [str(f["value"]) for e in reply.embeds for f in e.get("fields", [])] + [str(e.get("description", "")) for e in reply.embeds]
        told = "\n".join(line for line in [reply.content, *lines] if "The lexicon goes on." in line)
        self._expect(bool(told), "/voice status says that the endpoint is away and the lexicon goes on.")
        return told

    def table(self) -> list[Row]:
        """The rows as the warehouse holds them, looked up behind the bot's back."""
        rows = self.warehouse.service.engine.query("SELECT product_name, price FROM products ORDER BY product_key")
        return [(name, f"{price:f}") for name, price in rows]

    async def http(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Ask the bot; status and text."""
        url = f"http://127.0.0.1:{self.stage.app.api_port}{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as answer:
            return answer.status, await answer.text()

    async def _ask(self, command: str, **options: str) -> str:
        reply = await self.stage.discord.slash(self.stage.moderator, self.stage.alerts, command, timeout=30.0, **options)
        return "".join((reply.content, *(message.content for message in reply.followups)))

    async def _say(self, text: str) -> Message | None:
        """Until it is transcribed and all that follows from it is posted; its card, if there is one."""
        (line,) = [each for each in conversation() if each.text == text]
        await self.stage.voice.human(self.stage.members[line.speaker].id).say(line.path, speed=self.speed)
        await self._until(lambda: self._heard(line), f"“{text}” is transcribed.")
        if text != HARMLESS:
            await self._until(lambda: self._card(text) is not None, f"A card about “{text}” is posted.")
            await self._until(lambda: bool(self._scorers(text)), f"“{text}” is scored as toxic.")
        await self.stage.app.dispatcher.drained()
        return self._card(text)

    def _heard(self, line: Line) -> bool:
        return any(who == line.speaker and segment.text == line.text for who, segment in self.stage.watcher.segments)

    def _card(self, text: str) -> Message | None:
        plain = (card for card in self.stage.cards() if text in card.embeds[0]["description"].replace("||", "").replace("**", ""))
        return next(plain, None)

    def _detectors(self, text: str) -> set[str]:
        """Whose flags there are on it."""
        found = (each for each in self.stage.watcher.flagged.values() if each.segment.text == text)
        return {flag.detector for each in found for flag in each.verdict.flags}

    def _scorers(self, text: str) -> set[str]:
        return self._detectors(text) - {"lexicon"}

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            await self.stage.discord.wait_for(condition, CARD_SECONDS, what=what)
        except (TimeoutError, AssertionError):
            self._expect(False, what)

    def _expect(self, happened: bool, what: str) -> None:
        if not happened:
            self.missing.append(what)


@asynccontextmanager
async def open_evening(folder: Path, *, speed: float, api_port: int = 0) -> AsyncIterator[Evening]:
    """The bot is in the voice channel, its settings lead it to the workspace, and it signs in as a service principal."""
    tokens = Tokens()
    oauth, warehouse, serving = OAuthPart(tokens), WarehousePart(tokens), ServingPart(tokens=tokens)
    async with LoopbackWorkspace(oauth, warehouse, serving) as workspace:
        ((client, secret),) = oauth.principals.items()
        more: dict[str, Any] = {
            "databricks_host": workspace.url,
            "databricks_client_id": client,
            "databricks_client_secret": SecretStr(secret),
            "databricks_http_path": warehouse.path,
            "databricks_endpoint": "toxicity",
            "earshot_score_deadline_seconds": SCORE_SECONDS,
        }
        async with open_stage(folder, api_port=api_port, more=more) as stage:
            await stage.begin()
            yield Evening(stage, workspace, warehouse, serving, speed)
            await asyncio.wait_for(stage.finish(), 30.0)


def _names(found: set[str]) -> str:
    return ", ".join(sorted(found)) or "none"
