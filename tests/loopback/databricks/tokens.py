"""Who may ask. One table for all parts of a workspace."""

from aiohttp import web

PERSONAL = "dapi-loopback"
"""A personal access token that is valid from the start."""


class Tokens:
    """Valid bearer tokens; `forbidden` ones are known, but lack the permission."""

    def __init__(self, *valid: str) -> None:
        self.valid = set(valid or (PERSONAL,))
        self.forbidden: set[str] = set()

    def refusal(self, request: web.Request) -> web.Response | None:
        """401 or 403, as HTTP says them; None where the request may pass."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and token in self.valid - self.forbidden:
            return None
        if token in self.forbidden:
            return _refuse(403, "PERMISSION_DENIED", "You do not have permission to use this resource.")
        return _refuse(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")


def _refuse(status: int, code: str, message: str) -> web.Response:
    headers = {"x-databricks-reason-phrase": message}
    return web.json_response({"error_code": code, "message": message}, status=status, headers=headers)
