"""Routes about accounts, the application, the gateway's address and DMs."""

from collections.abc import Callable

from tests.loopback import payloads
from tests.loopback.routing import Call, Router, snowflake
from tests.loopback.state import Json, World


class UserRoutes:
    """`/users`, `/oauth2/applications/@me`, `/applications/@me`, `/gateway`."""

    def __init__(self, world: World, shards: Callable[[], tuple[int, int]]) -> None:
        self._world = world
        self._shards = shards

    def register(self, router: Router) -> None:
        """Add the routes."""
        router.add("GET", "/users/@me", self._me)
        router.add("PATCH", "/users/@me", self._me)
        router.add("POST", "/users/@me/channels", self._open_dm)
        router.add("GET", "/users/@me/guilds", self._guilds)
        router.add("GET", "/users/{user_id}", self._user)
        router.add("GET", "/oauth2/applications/@me", self._application)
        router.add("GET", "/applications/@me", self._application)
        router.add("GET", "/gateway", self._gateway, open=True)
        router.add("GET", "/gateway/bot", self._gateway_bot)

    async def _me(self, _call: Call) -> Json:
        return payloads.own_user(self._world.bot)

    async def _user(self, call: Call) -> Json:
        return payloads.user(self._world.user(call.id("user_id")))

    async def _guilds(self, _call: Call) -> list[Json]:
        bot = self._world.bot.id
        return [
            {
                "id": str(guild.id),
                "name": guild.name,
                "icon": None,
                "banner": None,
                "owner": False,
                "features": [],
                "permissions": str(int(self._world.permissions(bot, guild_id=guild.id))),
            }
            for guild in self._world.guilds.values()
        ]

    async def _open_dm(self, call: Call) -> Json:
        recipient = self._world.user(snowflake(call.json.get("recipient_id"), "recipient_id"))
        return payloads.channel(self._world.dm_with(recipient), self._world)

    async def _application(self, _call: Call) -> Json:
        world = self._world
        return {
            "id": str(world.application_id),
            "name": world.bot.username,
            "icon": None,
            "description": "",
            "summary": "",
            "type": None,
            "bot": payloads.user(world.bot),
            "bot_public": False,
            "bot_require_code_grant": False,
            "verify_key": "0" * 64,
            "flags": 0,
            "owner": payloads.user(world.owner),
            "team": None,
            "approximate_guild_count": len(world.guilds),
            "redirect_uris": [],
            "interactions_endpoint_url": None,
            "role_connections_verification_url": None,
            "integration_types_config": {"0": {"oauth2_install_params": {"scopes": ["bot", "applications.commands"], "permissions": "0"}}},
        }

    async def _gateway(self, _call: Call) -> Json:
        return {"url": "wss://gateway.discord.gg"}

    async def _gateway_bot(self, _call: Call) -> Json:
        shards, max_concurrency = self._shards()
        limit = {"total": 1000, "remaining": 999, "reset_after": 86_400_000, "max_concurrency": max_concurrency}
        return {"url": "wss://gateway.discord.gg", "shards": shards, "session_start_limit": limit}
