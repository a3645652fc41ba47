"""`GET /metrics`, in Prometheus' text format."""

from collections.abc import Callable

from aiohttp import web

Render = Callable[[], tuple[str, bytes]]
"""Gives the content type and the metrics; called on the event loop."""


def add_routes(app: web.Application, render: Render) -> None:
    """`GET /metrics`; who may ask is the application's business (token, or loopback)."""

    async def metrics(request: web.Request) -> web.Response:
        content_type, body = render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app.router.add_get("/metrics", metrics)
