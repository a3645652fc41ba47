"""Pages for people: one layout; styles and scripts are our own files, so that a strict content policy holds, without a network too."""

from html import escape
from pathlib import Path

from aiohttp import web

from bot.api.routes import Role, Route

STATIC = Path(__file__).parent / "static"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing inline and nothing from elsewhere runs."""

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def page(
    title: str, body: str, *, status: int = 200, script: str = "", here: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    """A whole page.

    Args:
        title: plain text.
        body: HTML in which everything from outside is escaped already.
        status: HTTP status.
        script: name of a file in `static/` to run as a module.
        here: the page's address, to be marked in the navigation.
        headers: more of them.
    """
    navigation = _NAVIGATION.replace(f' href="{here}"', f' href="{here}" aria-current="page"')
    run = f'<script type="module" src="/static/{escape(script)}"></script>' if script else ""
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Earshot</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/earshot.css">
{run}
</head>
<body>{navigation}<main id="main"><h1>{escape(title)}</h1>
{body}
</main></body>
</html>"""
    return web.Response(text=html, status=status, content_type="text/html", headers={"Content-Security-Policy": POLICY, **(headers or {})})


def sign_in_page(headers: dict[str, str] | None = None, problem: str = "", to: str = "/") -> web.Response:
    """Asks for the token; status 401. `to`: the address here that the person wanted."""
    told = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    body = f"""{told}<p>This bot asks for a token: the setting <code>API_TOKEN</code>,
or <code>API_READ_TOKEN</code>, with which you can look and change nothing.</p>
<form class="stack" method="post" action="/sign-in">
<input type="hidden" name="to" value="{escape(to)}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Sign in</button>
</form>"""
    return page("Sign in", body, status=401, headers=headers)


def error_page(title: str, sentence: str, more: str, status: int, headers: dict[str, str] | None = None) -> web.Response:
    """Tells a person what was wrong. `more`: what helps who looks for the reason."""
    body = f"""<p class="problem" role="alert">{escape(sentence)}</p>
<p class="soft">{escape(more)}</p><p><a href="/">Go to the start</a></p>"""
    return page(title, body, status=status, headers=headers)


def routes() -> list[Route]:
    """Styles, scripts and pictures: open to all, since they hold nothing."""
    return [Route("GET", "/static/{name}", _static, "Styles and scripts of the pages.", {200: list(_TYPES.values())}, {404}, Role.OPEN)]


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    path = STATIC / name
    if Path(name).name != name or path.suffix not in _TYPES or not path.is_file():
        raise web.HTTPNotFound
    headers = {"Cache-Control": "no-cache"}
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=headers)


_NAVIGATION = (
    '<a class="skip" href="#main">Skip to the content</a><header><nav aria-label="Pages">'
    '<a class="brand" href="/">Earshot</a><a href="/voicechat/">Live</a><a href="/demo/live-audio">Score</a>'
    '<a href="/databricks/products/">Products</a>'
    '<a href="/api/docs">API</a></nav></header>'
)
