"""`GET /metrics`, in Prometheus' text format."""

from collections.abc import Callable, Sequence

from aiohttp import web

from bot.api.routes import Route

Render = Callable[[], tuple[str, bytes]]
"""Gives the content type and the metrics; called on the event loop."""


def routes(render: Render) -> Sequence[Route]:
    """`GET /metrics`."""

    async def metrics(request: web.Request) -> web.Response:
        content_type, body = render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    return [Route("GET", "/metrics", metrics, "Figures for Prometheus.", {200: ["text/plain"]}, tag="health")]
