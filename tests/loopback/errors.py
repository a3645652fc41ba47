"""How Discord says no: an HTTP status and a JSON body with a code (https://discord.com/developers/docs/topics/opcodes-and-status-codes#json)."""

from typing import Any

INVALID_FORM_BODY = 50035

_UNKNOWN = {
    "channel": (10003, "Unknown Channel"),
    "guild": (10004, "Unknown Guild"),
    "member": (10007, "Unknown Member"),
    "message": (10008, "Unknown Message"),
    "role": (10011, "Unknown Role"),
    "user": (10013, "Unknown User"),
    "webhook": (10015, "Unknown Webhook"),
    "interaction": (10062, "Unknown interaction"),
    "command": (10063, "Unknown application command"),
    "voice state": (10065, "Unknown Voice State"),
}


class ApiError(Exception):
    """A request Discord refuses. `errors` is the nested form-error object of code 50035."""

    def __init__(self, status: int, code: int, message: str, errors: dict[str, Any] | None = None) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.errors is not None:
            body["errors"] = self.errors
        return body


def unknown(kind: str) -> ApiError:
    """404 with the code of that kind of object ("channel", "message" …)."""
    code, message = _UNKNOWN[kind]
    return ApiError(404, code, message)


def missing_permissions() -> ApiError:
    """403 50013: the object is visible, the action is not allowed."""
    return ApiError(403, 50013, "Missing Permissions")


def missing_access() -> ApiError:
    """403 50001: the object is not even visible."""
    return ApiError(403, 50001, "Missing Access")


class FormErrors:
    """Collects field errors into the nested object of `Invalid Form Body`."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}

    def add(self, path: str, code: str, message: str) -> None:
        """Add one error at a dotted path such as `embeds.0.description`."""
        node = self._tree
        for key in path.split("."):
            node = node.setdefault(key, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def max_length(self, path: str, value: object, limit: int) -> None:
        """Refuse text longer than `limit` characters."""
        if isinstance(value, str) and len(value) > limit:
            self.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")

    def length(self, path: str, value: object, low: int, high: int) -> None:
        """Refuse text or a list whose length is not within `low`..`high`."""
        if isinstance(value, str | list) and not low <= len(value) <= high:
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")

    def required(self, path: str, value: object) -> None:
        """Refuse a field that is absent or empty."""
        if value is None or value == "":
            self.add(path, "BASE_TYPE_REQUIRED", "This field is required")

    def check(self) -> None:
        """Raise 400 50035 when anything was added."""
        if self._tree:
            raise ApiError(400, INVALID_FORM_BODY, "Invalid Form Body", self._tree)
