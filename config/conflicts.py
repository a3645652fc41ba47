"""Settings that are fine each, but do not fit together."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from config.checks import MIN_TOKEN

if TYPE_CHECKING:
    from config.settings import Settings

Conflict = tuple[tuple[str, ...], str]
"""The names that take part, and the problem as a sentence."""


def conflicts(settings: "Settings", given: Mapping[str, str]) -> list[Conflict]:
    """What does not fit together in `settings`; `given`: the environment it was made from."""
    return [*_shards(settings), *_api(settings), *_webhook(settings), *_names(given), *_databricks(settings)]


def _shards(settings: "Settings") -> Iterator[Conflict]:
    ids, count = settings.shard_ids, settings.shard_count
    if not ids:
        return
    if count is None:
        yield ("SHARD_COUNT", "SHARD_IDS"), "SHARD_COUNT: it is not set, but SHARD_IDS is; set it to the number of shards of all processes"
        return
    if max(ids) >= count:
        text = f"SHARD_IDS: there is no shard {max(ids)} of {count}; they are numbered from 0 to {count - 1}. Correct it, or SHARD_COUNT"
        yield ("SHARD_COUNT", "SHARD_IDS"), text
    elif len(ids) < count and not settings.database_url.get_secret_value().startswith("postgres"):
        text = "DATABASE_URL: processes that share the shards share one PostgreSQL database, too; set it, or remove SHARD_IDS"
        yield ("DATABASE_URL", "SHARD_IDS"), text


def _api(settings: "Settings") -> Iterator[Conflict]:
    host = settings.api_host
    if settings.api_token is None and not is_loopback(host):
        text = f"API_TOKEN: it is not set, but API_HOST {host!r} is not loopback; set API_TOKEN, or API_HOST to 127.0.0.1"
        yield ("API_HOST", "API_TOKEN"), text
    for name, token in (("API_TOKEN", settings.api_token), ("API_READ_TOKEN", settings.api_read_token)):
        if token is not None and len(token.get_secret_value()) < MIN_TOKEN and not is_loopback(host):
            advice = "make one with `openssl rand -hex 32`"
            text = f"{name}: it has fewer than {MIN_TOKEN} characters, but API_HOST {host!r} is not loopback; {advice}"
            yield ("API_HOST", name), text
    if settings.api_read_token is not None and settings.api_token is None:
        yield ("API_READ_TOKEN", "API_TOKEN"), "API_TOKEN: it is not set, but API_READ_TOKEN is; set both, or API_TOKEN alone"
    if settings.api_read_token is not None and settings.api_read_token == settings.api_token:
        yield ("API_READ_TOKEN", "API_TOKEN"), "API_READ_TOKEN: it is the same as API_TOKEN; give those who only look another token"


def _webhook(settings: "Settings") -> Iterator[Conflict]:
    pair = ("EARSHOT_WEBHOOK_URL", "EARSHOT_WEBHOOK_SECRET")
    if (settings.earshot_webhook_url is None) is not (settings.earshot_webhook_secret is None):
        there, missing = pair if settings.earshot_webhook_url is not None else pair[::-1]
        yield pair, f"{missing}: it is not set, but {there} is; set both, or neither"


def _names(given: Mapping[str, str]) -> Iterator[Conflict]:
    one, other = "DATABRICKS_ENDPOINT", "DATABRICKS_SERVING_ENDPOINT_NAME"
    if given.get(one, "") != given.get(other, given.get(one, "")) and one in given:
        yield (one,), f"{one}: {other} says something else; remove one of the two"
    pair = ("DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET")
    missing = [name for name in pair if name not in given]
    if len(missing) == 1:
        there = next(name for name in pair if name in given)
        yield pair, f"{missing[0]}: it is not set, but {there} is; set both, or neither"


def _databricks(settings: "Settings") -> Iterator[Conflict]:
    s = settings
    if s.databricks_endpoint is None and s.flagging_provider.uses_databricks:
        advice = "set it, or FLAGGING_PROVIDER to lexicon"
        text = f"DATABRICKS_ENDPOINT: it is not set, but FLAGGING_PROVIDER is {s.flagging_provider}; {advice}"
        yield ("DATABRICKS_ENDPOINT", "FLAGGING_PROVIDER"), text
    used = {"DATABRICKS_ENDPOINT": s.databricks_endpoint, "DATABRICKS_HTTP_PATH": s.databricks_http_path}
    by = [name for name, value in used.items() if value is not None]
    if not by:
        return
    if s.databricks_host is None and not _reachable_without_host(s):
        yield ("DATABRICKS_HOST", *by), f"DATABRICKS_HOST: it is not set, but {by[0]} is; set it to the workspace's address"
    if s.databricks_token is None and s.databricks_client_id is None and s.databricks_client_secret is None:
        advice = "set it, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"
        text = f"DATABRICKS_TOKEN: it is not set, but {by[0]} is; {advice}"
        yield ("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", *by), text


def _reachable_without_host(settings: "Settings") -> bool:
    endpoint, http_path = settings.databricks_endpoint, settings.databricks_http_path
    endpoint_ok = endpoint is None or "://" in endpoint
    return endpoint_ok and (http_path is None or settings.databricks_server_hostname is not None)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
