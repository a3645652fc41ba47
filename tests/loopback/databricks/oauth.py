"""OAuth for machines (client credentials, RFC 6749 section 4.4) and the two documents that say where it is (RFC 8414)."""

import base64
import itertools

from aiohttp import web

from tests.loopback.databricks.tokens import Tokens


class OAuthPart:
    """Gives tokens to service principals and makes them valid in `tokens`."""

    def __init__(self, tokens: Tokens, principals: dict[str, str] | None = None, *, lifetime: int = 3600) -> None:
        """`principals`: client id → secret; `lifetime`: seconds a token is said to live (`revoke` ends it)."""
        self.tokens = tokens
        self.principals = principals or {"loopback-client": "loopback-secret"}
        self.lifetime = lifetime
        self.given: list[str] = []
        """Tokens, oldest first."""
        self._numbers = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        """The token endpoint and the documents that lead there."""
        return [
            web.post("/oidc/v1/token", self._token),
            web.get("/.well-known/databricks-config", self._workspace),
            web.get("/oidc/.well-known/oauth-authorization-server", self._server),
        ]

    def revoke(self) -> None:
        """No token that was given is valid any longer."""
        self.tokens.valid -= set(self.given)

    async def _token(self, request: web.Request) -> web.Response:
        known = {base64.b64encode(f"{client}:{secret}".encode()).decode() for client, secret in self.principals.items()}
        if request.headers.get("Authorization", "").removeprefix("Basic ") not in known:
            return _error(401, "invalid_client")
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return _error(400, "unsupported_grant_type")
        if form.get("scope") != "all-apis":
            return _error(400, "invalid_scope")
        token = f"oauth-loopback-{next(self._numbers)}"
        self.given.append(token)
        self.tokens.valid.add(token)
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime, "scope": "all-apis"},
            headers={"Cache-Control": "no-store"},
        )

    async def _workspace(self, request: web.Request) -> web.Response:
        return web.json_response({"oidc_endpoint": f"{_origin(request)}/oidc", "host_type": "workspace", "workspace_id": "1"})

    async def _server(self, request: web.Request) -> web.Response:
        issuer = f"{_origin(request)}/oidc"
        return web.json_response(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/v1/authorize",
                "token_endpoint": f"{issuer}/v1/token",
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": code, "error_description": "Client authentication failed"}, status=status)
