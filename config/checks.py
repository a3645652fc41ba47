"""What single values must look like. Each raises `WrongValue("what is wrong; what to do")` and never quotes a secret."""

import base64
import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr


class WrongValue(ValueError):
    """Says what is wrong with a value, and what to do."""


LEXICONS = Path(__file__).parent / "lexicon"
"""The lexicons that come along: `sample` holds placeholders and mild insults, `starter` threats and calls to self-harm besides."""

MAX_SHARDS = 16384
"""Far more than any bot has."""

MIN_TOKEN = 16
"""Characters of a token for the HTTP side that cannot be guessed."""

DATABASE_SCHEMES = ("sqlite", "sqlite+aiosqlite", "postgresql", "postgresql+psycopg", "postgres")

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*\.?")
_ENDPOINT_PATH = re.compile(r"/serving-endpoints/[A-Za-z0-9][A-Za-z0-9_-]{0,62}(/invocations)?/?\Z")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def shard_ids(value: object) -> object:
    """`0,2,5-7` → (0, 2, 5, 6, 7); `all` → ()."""
    if not isinstance(value, str):
        return value
    if value.lower() == "all":
        return ()
    found: list[int] = []
    for part in value.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise WrongValue(f"{part.strip()[:20]!r} is no shard; write shards such as 0,1 or 0-3, numbered from 0")
        if len(last or first) > 5 or int(last or first) >= MAX_SHARDS:
            raise WrongValue(f"{part.strip()[:20]!r} is beyond the {MAX_SHARDS} shards that there can be")
        if int(last or first) < int(first):
            raise WrongValue(f"{part.strip()[:20]!r} runs backwards; write the smaller number first")
        found += range(int(first), int(last or first) + 1)
    if len(set(found)) < len(found):
        raise WrongValue("a shard stands in it twice; name each once")
    return tuple(found)


def lexicon(value: object) -> object:
    """The name of a lexicon that comes along → its file: wherever Earshot is installed, `starter` finds it."""
    own = {path.stem: path for path in LEXICONS.glob("*.json")}
    return own.get(value, value) if isinstance(value, str) else value


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
    _not_in_the_clear(url)
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
    if not value.startswith(("https://", "http://")):
        return endpoint_name(value)
    if not host_of(value):
        raise WrongValue("it is not a URL; set the endpoint's name alone")
    _not_in_the_clear(value)
    if not _ENDPOINT_PATH.search(urlsplit(value).path):
        raise WrongValue("its path is not /serving-endpoints/NAME/invocations; copy it again, or set the endpoint's name alone")
    return value


def _not_in_the_clear(url: str) -> None:
    """Tokens leave this machine over TLS only."""
    host = host_of(url) or ""
    if url.startswith("http://") and host != "localhost" and not host.startswith("127."):
        raise WrongValue("it is http, so the token would travel in the clear; use https")


def endpoint_name(value: str) -> str:
    """A serving endpoint's name."""
    if not _PLAIN_NAME.fullmatch(value):
        raise WrongValue(f"{value[:60]!r} is not an endpoint's name; it has letters, digits, - and _, at most 63")
    return value


def served_name(value: str) -> str:
    """A served entity's name."""
    if not _PLAIN_NAME.fullmatch(value):
        raise WrongValue(f"{value[:60]!r} is not a served entity's name; it has letters, digits, - and _, at most 63")
    return value


def answer_path(value: str) -> str:
    """A dotted path such as `predictions.0.score`: its first number stands for the text's place in the request."""
    parts = value.split(".")
    if not all(part.strip() for part in parts):
        raise WrongValue(f"{value[:60]!r} is not a dotted path; set something like predictions.0.score")
    if next((part for part in parts if part.isdecimal()), "0") != "0":
        raise WrongValue(f"{value[:60]!r} has a first number other than 0, which stands for the first text; set predictions.0.score or so")
    return value


def table_name(value: str) -> str:
    """`catalog.schema.table`, `schema.table` or `table`; backticks are taken off."""
    parts = [part.removeprefix("`").removesuffix("`") for part in value.split(".")]
    if len(parts) > 3 or not all(re.fullmatch(r"[\w-]{1,255}", part) for part in parts):
        raise WrongValue(f"{value[:60]!r} is not a table's name; set catalog.schema.table, of letters, digits, _ and -")
    return ".".join(parts)


def model_name(value: str) -> str:
    """`catalog.schema.model` (Unity Catalog)."""
    if not re.fullmatch(r"[^\s./]+\.[^\s./]+\.[^\s./]+", value):
        raise WrongValue(f"{value[:60]!r} is not catalog.schema.model; give all three parts")
    return value


def web_address(value: str) -> str:
    """A whole `http(s)` URL without a user in it."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or host_of(value) is None or parts.username:
        raise WrongValue("it is not an address; set something like https://example.org/hook")
    return value


def webhook_secret(value: SecretStr) -> SecretStr:
    """Long enough not to be guessed."""
    text = value.get_secret_value()
    try:
        size = len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) if text.startswith("whsec_") else len(text)
    except ValueError:
        raise WrongValue("what follows whsec_ is not base64; copy it again") from None
    if size < 24:
        raise WrongValue("it is too short; make one with `openssl rand -base64 32`")
    return value
