"""Answers to REQUEST_GUILD_MEMBERS (https://discord.com/developers/docs/events/gateway-events#request-guild-members)."""

from tests.loopback import payloads
from tests.loopback.state import Guild, Json, Member

MAX_CHUNK = 1000  # members in one GUILD_MEMBERS_CHUNK


def member_chunks(guild: Guild, asked: Json) -> list[Json]:
    """The GUILD_MEMBERS_CHUNK payloads for one request, by `user_ids` or by `query` and `limit`; at least one, maybe empty."""
    if (user_ids := asked.get("user_ids")) is not None:
        wanted = [int(each) for each in (user_ids if isinstance(user_ids, list) else [user_ids])]
        found = [guild.members[each] for each in wanted if each in guild.members]
        absent = [str(each) for each in wanted if each not in guild.members]
    else:
        found, absent = _by_name(guild, str(asked.get("query") or ""), int(asked.get("limit") or 0)), []
    chunks = [found[start : start + MAX_CHUNK] for start in range(0, len(found), MAX_CHUNK)] or [[]]
    return [
        {
            "guild_id": str(guild.id),
            "members": [payloads.member(each) for each in chunk],
            "chunk_index": index,
            "chunk_count": len(chunks),
            "not_found": absent,
            **({"nonce": asked["nonce"]} if asked.get("nonce") else {}),
        }
        for index, chunk in enumerate(chunks)
    ]


def _by_name(guild: Guild, prefix: str, limit: int) -> list[Member]:
    found = [each for each in guild.members.values() if each.user.username.casefold().startswith(prefix.casefold())]
    return found[: limit or len(found)]
