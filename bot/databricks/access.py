"""Where the workspace and the warehouse are, and whoever asks them, as the settings say it."""

import aiohttp

from bot.databricks.auth import Credentials, PersonalToken, ServicePrincipal
from config.checks import host_of
from config.settings import Settings


def workspace_of(settings: Settings) -> str | None:
    """`https://host`; where only an endpoint's URL or the warehouse's host is set, that one's."""
    if settings.databricks_host is not None:
        return settings.databricks_host
    endpoint = settings.databricks_endpoint or ""
    if "://" in endpoint:
        return "/".join(endpoint.split("/")[:3])
    return f"https://{settings.databricks_server_hostname}" if settings.databricks_server_hostname else None


def warehouse_of(settings: Settings) -> str | None:
    """`https://host` of the warehouse: the workspace's, port and all, unless another host name is set."""
    name = settings.databricks_server_hostname
    if name is None or (settings.databricks_host is not None and host_of(settings.databricks_host) == name):
        return workspace_of(settings)
    return f"https://{name}"


def credentials(settings: Settings, session: aiohttp.ClientSession) -> Credentials | None:
    """The token where there is one, else the service principal; None where neither is set.

    `session`: for requests to the workspace; stays open as long as the credentials are used.
    """
    if settings.databricks_token is not None:
        return PersonalToken(settings.databricks_token.get_secret_value())
    host, client, secret = workspace_of(settings), settings.databricks_client_id, settings.databricks_client_secret
    if host is None or client is None or secret is None:
        return None
    return ServicePrincipal(session, host, client, secret.get_secret_value())
