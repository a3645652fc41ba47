"""Signing a browser in and out: it gives the token once and gets a cookie that no script can read."""

import re

from aiohttp import web
from pydantic import BaseModel, Field

from bot.api.access import COOKIE, SIGNED_IN_SECONDS, Access
from bot.api.pages import sign_in_page
from bot.api.routes import Role, Route, body_of

_HERE = re.compile(r"/([\w~.%&=?+-][\w~.%&=?+/-]*)?", re.ASCII)


class SignIn(BaseModel):
    """What the sign-in page sends."""

    token: str = Field("", description="The API token.")
    to: str = Field("", description="The address here to go to afterwards.")


def routes(access: Access) -> list[Route]:
    """`POST /sign-in` and `POST /sign-out`."""

    async def sign_in(request: web.Request) -> web.Response:
        form = body_of(request, SignIn)
        value, to = access.sign_in(form.token), _here(form.to)
        if value is None:
            return sign_in_page(problem="That is not the token.", to=to)
        answer = _back(to)
        answer.set_cookie(
            COOKIE, value, max_age=int(SIGNED_IN_SECONDS), httponly=True, samesite="Strict", secure=request.secure or None, path="/"
        )
        return answer

    async def sign_out(request: web.Request) -> web.Response:
        access.sign_out(request.cookies.get(COOKIE, ""))
        answer = _back()
        answer.del_cookie(COOKIE, path="/")
        return answer

    return [
        Route("POST", "/sign-in", sign_in, "Sign a browser in.", {303: [], 401: ["text/html"]}, (), Role.OPEN, form=SignIn, tag="pages"),
        Route("POST", "/sign-out", sign_out, "Sign a browser out.", {303: []}, role=Role.OPEN, tag="pages"),
    ]


def _back(to: str = "/") -> web.Response:
    return web.Response(status=303, headers={"Location": to})


def _here(to: str) -> str:
    """The address, if it is one of this server: what begins with two slashes, as browsers read them, names another."""
    return to if _HERE.fullmatch(to) else "/"
