"""Pages for people: `/` says how the bot fares, `/voicechat/` listens to a microphone and shows the calls, `/demo/live-audio` scores.

Written here, brought to life by the modules in `static/`; what changes on `/` is written here, too, and fetched again by its script.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from aiohttp import web

from bot.api.access import COOKIE
from bot.api.health import READINESS, ProbeResult, Status
from bot.api.pages import page
from bot.api.routes import Route
from moderation.sessions import Running

_NAMES = {
    "discord": "Discord",
    "vosk": "Speech recognition",
    "lexicon": "Lexicon",
    "database": "Database",
    "databricks_sql": "Databricks SQL",
    "databricks_serving": "Databricks model serving",
    "alerts": "Alerts",
    "webhooks": "Webhooks",
}
_STATES = {Status.OK: "works", Status.OFF: "off", Status.DEGRADED: "works with less", Status.DOWN: "does not work"}
_KEPT = (
    "What you say is transcribed by this server and not kept: neither the sound nor the words. "
    "Where the server scores with a Databricks endpoint, the endpoint gets the words, never the sound."
)
_NO_SCRIPT = '<noscript><p class="problem">This page needs JavaScript: it comes from this server alone.</p></noscript>'


_NO_BOT = "This process serves the HTTP side alone, without the bot: there are no calls here. <code>python -m bot run</code> runs both."
_NO_CALL = "The bot is in no call. <code>/voice join</code> in Discord calls it"


def routes(running: Callable[[], Sequence[Running]] | None) -> list[Route]:
    """The pages. `running`: the sessions that go on; None where there is no bot."""

    async def home(request: web.Request) -> web.Response:
        found = await request.app[READINESS].check()
        return page(
            "Status", _home(found, running() if running else None, signed_in=COOKIE in request.cookies), script="status.js", here="/"
        )

    async def live(request: web.Request) -> web.Response:
        return page("Live", _live(bot=running is not None), script="voicechat.js", here="/voicechat/")

    async def demo(request: web.Request) -> web.Response:
        return page("Live score", _DEMO, script="live-audio.js", here="/demo/live-audio")

    html = {200: ["text/html"]}
    return [
        Route("GET", "/", home, "How the bot fares, for people.", html, tag="pages"),
        Route("GET", "/voicechat/", live, "Try a microphone, and see the calls that the bot is in.", html, tag="pages"),
        Route("GET", "/demo/live-audio", demo, "Speak, and see the score grow.", html, tag="pages"),
    ]


def _home(found: Mapping[str, ProbeResult], sessions: Sequence[Running] | None, *, signed_in: bool) -> str:
    out = '<form method="post" action="/sign-out"><button class="plain" type="submit">Sign out</button></form>' if signed_in else ""
    return f"""<p id="trouble" class="problem" role="status"></p>
<div id="now">
{_verdict(found)}
<section class="box" aria-labelledby="parts"><h2 id="parts">What it depends on</h2>
<div class="scroll" role="region" tabindex="0" aria-labelledby="parts"><table>
<thead><tr><th scope="col">Part</th><th scope="col">State</th><th scope="col">More</th></tr></thead>
<tbody>{"".join(_part(name, result) for name, result in found.items())}</tbody></table></div></section>
<section class="box" aria-labelledby="sessions"><h2 id="sessions">Calls now</h2>
{_sessions(sessions)}</section>
</div>
<p><a href="/voicechat/">See calls live, or try your microphone</a> · <a href="/demo/live-audio">Score what you say</a> ·
<a href="/metrics">Metrics</a> · <a href="/ready">Readiness as JSON</a></p>
{out}"""


def _verdict(found: Mapping[str, ProbeResult]) -> str:
    down = [_NAMES.get(name, name) for name, result in found.items() if result.status is Status.DOWN]
    if down:
        return f'<p class="state down">Not ready: {escape(", ".join(down))} {"does" if len(down) == 1 else "do"} not work.</p>'
    less = [_NAMES.get(name, name) for name, result in found.items() if result.status is Status.DEGRADED]
    if less:
        return f'<p class="state degraded">Ready, with less than there should be: {escape(", ".join(less))}.</p>'
    return '<p class="state ok">Ready: everything works.</p>'


def _part(name: str, result: ProbeResult) -> str:
    state = f'<td class="state {result.status}">{_STATES[result.status]}</td>'
    return f'<tr><th scope="row">{escape(_NAMES.get(name, name))}</th>{state}<td>{escape(result.detail)}</td></tr>'


def _sessions(sessions: Sequence[Running] | None) -> str:
    if not sessions:
        return f"<p>{_NO_BOT if sessions is None else f'{_NO_CALL}.'}</p>"
    return f"<ul>{''.join(_session(each) for each in sessions)}</ul>"


def _session(running: Running) -> str:
    coverage = running.coverage()
    spoken, heard = sum(c.spoken_seconds for c in coverage), sum(c.heard_seconds for c in coverage)
    share = f"{min(1.0, heard / spoken):.0%} of {spoken:.0f} s of speech heard" if spoken else "nobody has spoken yet"
    name = running.session.channel_name or f"Channel {running.session.channel_id}"
    state = "listening" if running.source.health().listening else "not listening at the moment"
    alerts = sum(c.alerts for c in coverage)
    counts = f"{len(coverage)} {'speaker' if len(coverage) == 1 else 'speakers'}, {share}, {alerts} {'alert' if alerts == 1 else 'alerts'}"
    since = running.session.started_at
    return (
        f'<li><strong>{escape(name)}</strong>, <time datetime="{since.isoformat()}">since {since:%H:%M} UTC</time>: {state}; {counts}.</li>'
    )


def _microphone(stream: str, heading: str) -> str:
    """`stream`: the WebSocket that takes the audio."""
    return f"""<section id="microphone" class="box" aria-labelledby="microphone-heading" data-stream="{stream}">
<h2 id="microphone-heading">{heading}</h2>
<p class="soft">{_KEPT}</p>
<div class="controls"><button type="button" data-part="talk">Start</button>
<button type="button" class="plain" data-part="clear">Clear</button>
<span class="level"><label for="level">Level</label>
<meter id="level" data-part="level" min="0" max="60" low="12" high="57" optimum="40" value="0"></meter>
<span data-part="level-word">off</span></span></div>
<p role="status"><span data-part="state">Not listening.</span></p>
<p class="problem" role="alert" data-part="trouble"></p>
<p class="soft" data-part="sent"></p>
<div id="log" class="log" role="log" aria-live="polite" aria-label="What you said" tabindex="0"
 data-empty="What you say appears here."></div>
<div id="partial" class="growing" aria-live="off"></div>
</section>"""


def _live(*, bot: bool) -> str:
    calls = _CALLS if bot else f"<p>{_NO_BOT}</p>"
    return f"""{_NO_SCRIPT}<p><a href="#microphone">Try your microphone</a> · <a href="#calls">Calls now</a></p>
{_microphone("/ws/voicechat/stream/", "Try your microphone")}
<section id="calls" aria-labelledby="calls-heading"><h2 id="calls-heading">Calls now</h2>
{calls}</section>"""


_CALLS = f"""<div class="controls"><span id="feed-state" role="status">Connecting …</span>
<label><input type="checkbox" id="blur"> Blur flagged words</label></div>
<p id="nothing">{_NO_CALL}; the call appears here by itself.</p>
<div id="sessions"></div>"""

_DEMO = f"""{_NO_SCRIPT}<p>What you say is scored as a whole while it grows: from the threshold on, it would be flagged.</p>
{_microphone("/ws/flag-audio/", "Speak")}
<section class="box" aria-labelledby="score-heading"><h2 id="score-heading">Score</h2>
<p class="level"><label for="score">So far</label>
<span class="gauge"><meter id="score" min="0" max="1" optimum="0" value="0"></meter><span id="threshold" hidden></span></span>
<output id="verdict" for="score" aria-live="off">no score yet</output></p>
<p class="unseen" role="status" id="crossed"></p></section>"""
