"""What single values must look like. Each raises `WrongValue("what is wrong; what to do")` and never quotes a secret."""

import ipaddress
import re
from urllib.parse import urlsplit

from pydantic import SecretStr


class WrongValue(ValueError):
    """Says what is wrong with a value, and what to do."""


DATABASE_SCHEMES = ("sqlite", "sqlite+aiosqlite", "postgresql", "postgresql+psycopg", "postgres")

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*\.?")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def token(value: SecretStr) -> SecretStr:
    """Something that can stand in an HTTP header: printable ASCII without spaces."""
    text = value.get_secret_value()
    if any(c.isspace() for c in text):
        raise WrongValue("it contains a space; set the token alone, without a word such as Bot or Bearer in front")
    if not (text.isascii() and text.isprintable()):
        raise WrongValue("it contains a character that no token has; copy it again")
    return value


def database_url(value: SecretStr) -> SecretStr:
    """A URL of a database that there is a driver for."""
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator:
        raise WrongValue("it is not a URL; set something like sqlite:///data/earshot.db or postgresql://user:password@host/name")
    if scheme not in DATABASE_SCHEMES:
        raise WrongValue(
            "its scheme is neither sqlite nor postgresql; use sqlite:///path/to/file.db or postgresql://user:password@host/name"
        )
    if not rest.strip("/"):
        raise WrongValue("it names no database; use sqlite:///path/to/file.db or postgresql://user:password@host/name")
    return value


def bind_host(value: str) -> str:
    """An address or a host name."""
    try:
        return str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        if not _HOST.fullmatch(value) or value.replace(".", "").isdigit():
            raise WrongValue(f"{value[:60]!r} is not an address; use an IP address such as 127.0.0.1, or a host name alone") from None
        return value


def host_of(value: str) -> str | None:
    """The host name in a URL, or in a bare host name; None where there is no valid one."""
    try:
        name = urlsplit(value if "://" in value else f"//{value}").hostname
    except ValueError:
        return None
    return name if name and _HOST.fullmatch(name) else None


def workspace(value: str) -> str:
    """`https://host`; a bare host name gets its scheme."""
    url = value if "://" in value else f"https://{value}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WrongValue("it is not an address; set something like https://dbc-1234abcd.cloud.databricks.com") from None
    if parts.scheme not in {"http", "https"} or host_of(url) is None:
        raise WrongValue("it is not an address; set something like https://dbc-1234abcd.cloud.databricks.com")
    if parts.username or parts.password:
        raise WrongValue("it holds a user or password; set the address alone, and the token as DATABRICKS_TOKEN")
    return f"{parts.scheme}://{parts.hostname}{f':{port}' if port else ''}"


def hostname(value: str) -> str:
    """A host name alone; a URL is reduced to it."""
    name = host_of(value)
    if name is None:
        raise WrongValue(f"{value[:60]!r} is not a host name; set something like dbc-1234abcd.cloud.databricks.com")
    return value if "://" not in value else name


def http_path(value: str) -> str:
    """The path of a warehouse."""
    if "://" in value or not re.fullmatch(r"/?[\w./-]+(\?o=\d+)?", value):
        raise WrongValue(f"{value[:60]!r} is not a warehouse's HTTP path; copy it from the warehouse's Connection details")
    return value


def endpoint(value: str) -> str:
    """A serving endpoint's name, or its URL."""
    if value.startswith(("https://", "http://")):
        if not host_of(value):
            raise WrongValue("it is not a URL; set the endpoint's name alone")
        return value
    if not _PLAIN_NAME.fullmatch(value):
        raise WrongValue(f"{value[:60]!r} is not an endpoint's name; it has letters, digits, - and _, at most 63")
    return value


def served_name(value: str) -> str:
    """A served entity's name."""
    if not _PLAIN_NAME.fullmatch(value):
        raise WrongValue(f"{value[:60]!r} is not a served entity's name; it has letters, digits, - and _, at most 63")
    return value


def dotted_path(value: str) -> str:
    """`predictions.0.score`."""
    if not all(part.strip() for part in value.split(".")):
        raise WrongValue(f"{value[:60]!r} is not a dotted path; set something like predictions.0.score")
    return value


def model_name(value: str) -> str:
    """`catalog.schema.model` (Unity Catalog)."""
    if not re.fullmatch(r"[^\s./]+\.[^\s./]+\.[^\s./]+", value):
        raise WrongValue(f"{value[:60]!r} is not catalog.schema.model; give all three parts")
    return value
