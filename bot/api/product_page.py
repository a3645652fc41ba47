"""Products as a page for people: a table, a search, forms. It works without scripts; everything from outside is escaped."""

from html import escape
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel, Field

from bot.api.errors import status_of
from bot.api.pages import page
from bot.api.routes import Role, Route, body_of
from moderation.catalogue import Catalogue
from moderation.errors import InvalidInput, ModerationError
from moderation.product_index import Page
from moderation.products import MAX_NAME, Product

PATH = "/databricks/products/"
FORM_PATH = "/databricks/products-form"

_READER = (
    '<p class="soft">The token you signed in with may only look. To change products, sign out on <a href="/">the first page</a> '
    "and sign in with <code>API_TOKEN</code>.</p>"
)
_DONE = {"added": "The product is added.", "saved": "The price is saved.", "removed": "The product is removed."}


class ProductForm(BaseModel):
    """What the page's forms send."""

    action: str = Field("", description="`add`, `price` or `remove`.")
    product_name: str = ""
    price: str = Field("", description="For `add` and `price`; at most two decimals.")


def product_form(catalogue: Catalogue) -> list[Route]:
    """Takes what the page's forms send; a browser's forms know no `PUT` and no `DELETE`."""

    async def take(request: web.Request) -> web.Response:
        form = body_of(request, ProductForm)
        name, price = form.product_name, form.price
        try:
            done = await _act(catalogue, form.action, name, price)
        except ModerationError as problem:
            return product_page(catalogue, "", problem=problem, name=name, price=price)
        shown = {"done": done} if done == "removed" else {"done": done, "q": name.strip()[:MAX_NAME]}
        return web.Response(status=303, headers={"Location": f"{PATH}?{urlencode(shown)}"})

    answers: dict[int, list[str]] = {303: [], **{status: ["text/html"] for status in (400, 404, 409, 503, 504)}}
    return [Route("POST", FORM_PATH, take, "What the page of products sends.", answers, (), Role.OPERATE, form=ProductForm, tag="pages")]


async def _act(catalogue: Catalogue, action: str, name: str, price: str) -> str:
    if action == "add":
        await catalogue.add(name, price)
        return "added"
    if action == "price":
        await catalogue.set_price(name, price)
        return "saved"
    if action == "remove":
        await catalogue.remove(name)
        return "removed"
    raise InvalidInput("action: one of add, price, remove.")


def product_page(
    catalogue: Catalogue,
    query: str,
    limit: int = 50,
    cursor: str | None = None,
    *,
    may_change: bool = True,
    done: str = "",
    problem: ModerationError | None = None,
    name: str = "",
    price: str = "",
) -> web.Response:
    """The whole page. `may_change`: whether with forms; `name` and `price`: what was sent with the problem, to be corrected."""
    try:
        found: Page | None = catalogue.search(query, limit, cursor)
    except ModerationError as error:
        found, problem = None, problem or error
    parts = [_told(_DONE.get(done, ""), problem, catalogue), _add_form(name, price) if may_change else _READER, _search_form(query)]
    if found is not None:
        parts.append(_table(found, query, limit, cursor, may_change=may_change))
    status = status_of(problem) if problem is not None else 200
    return page("Products", "\n".join(parts), status=status, here="/databricks/products/", headers={"Vary": "Accept"})


def _told(done: str, problem: ModerationError | None, catalogue: Catalogue) -> str:
    told = [f'<p role="status">{escape(done)}</p>'] if done and problem is None else []
    if problem is not None:
        told.append(f'<p class="problem" role="alert">{escape(str(problem))}</p>')
    if catalogue.stale_since is not None:
        since = catalogue.stale_since.strftime("%Y-%m-%d %H:%M UTC")
        told.append(f'<p class="state degraded">{escape(catalogue.store_name)} is away. This is what it held at {since}.</p>')
    return "".join(told)


def _search_form(query: str) -> str:
    return f"""<form class="line" method="get" action="{PATH}" role="search">
<span class="field"><label for="q">Part of a name</label>
<input id="q" name="q" type="search" maxlength="{MAX_NAME}" value="{escape(query)}"></span>
<button class="plain" type="submit">Search</button></form>"""


def _add_form(name: str, price: str) -> str:
    return f"""<section class="box" aria-labelledby="add"><h2 id="add">Add a product</h2>
<form class="line" method="post" action="{FORM_PATH}">
<span class="field"><label for="name">Name</label>
<input id="name" name="product_name" required maxlength="{MAX_NAME}" value="{escape(name)}"></span>
<span class="field"><label for="price">Price</label> {_price_field(price, 'id="price"')}</span>
<button type="submit" name="action" value="add">Add</button></form></section>"""


def _table(found: Page, query: str, limit: int, cursor: str | None, *, may_change: bool) -> str:
    if not found.products and cursor is None:
        return f"<p>{'No name contains that.' if query else 'There are none yet.'}</p>"
    rows = "\n".join(_row(product, may_change=may_change) for product in found.products)
    links = []
    if cursor is not None:
        links.append(f'<a href="{escape(_address(query, limit, None))}">First page</a>')
    if found.cursor is not None:
        links.append(f'<a rel="next" href="{escape(_address(query, limit, found.cursor))}">Next page</a>')
    return f"""<p class="soft">{found.total:,} product{"s" * (found.total != 1)}</p>
<div class="scroll"><table class="named"><thead><tr>
<th scope="col">Name</th><th scope="col" class="number">Price</th><th scope="col">Changed (UTC)</th>
{"<td></td>" if may_change else ""}</tr></thead><tbody>
{rows}
</tbody></table></div><p>{" ".join(links)}</p>"""


def _row(product: Product, *, may_change: bool) -> str:
    name, at = escape(product.name), product.updated_at
    change = f"<td>{_change_forms(name, product)}</td>" if may_change else ""
    return f"""<tr><th scope="row">{name}</th><td class="number">{product.price}</td>
<td><time datetime="{at.isoformat()}">{at:%Y-%m-%d %H:%M}</time></td>{change}</tr>"""


def _change_forms(name: str, product: Product) -> str:
    """`name`: escaped."""
    hidden = f'<input type="hidden" name="product_name" value="{name}">'
    return f"""<details><summary aria-label="Change {name}">Change</summary>
<form class="line" method="post" action="{FORM_PATH}">{hidden}{_price_field(str(product.price), f'aria-label="New price of {name}"')}
<button type="submit" name="action" value="price">Save</button></form>
<form class="line" method="post" action="{FORM_PATH}">{hidden}
<button class="plain" type="submit" name="action" value="remove">Remove it for good</button></form></details>"""


def _price_field(value: str, more: str) -> str:
    return f'<input name="price" required inputmode="decimal" size="10" maxlength="20" value="{escape(value)}" {more}>'


def _address(query: str, limit: int, cursor: str | None) -> str:
    given = {"q": query, "limit": str(limit), "cursor": cursor or ""}
    return f"{PATH}?{urlencode({name: value for name, value in given.items() if value})}"
