"""The gateway connections of this process, one a shard: how they are opened, how they come back, and which of them is down.

What discord.py 2.7.1's sharded client does worse than its plain one, and what is done here instead:

* A shard whose gateway cannot be reached for a moment identifies anew, which ends every voice call on it: here it resumes. Discord says
  so when that is too late (op 9), and only then the shard identifies anew.
* A shard that cannot be opened at the start is tried again by recursion, every 5 s: here in a loop, ever more rarely.
"""

import asyncio
import logging
import random
import time
from collections import Counter

import aiohttp
import discord
import yarl
from discord.ext import commands
from discord.gateway import DiscordWebSocket, ReconnectWebSocket
from discord.shard import Shard

from bot.heartbeat import note_beats

log = logging.getLogger(__name__)

CONNECT_SECONDS = 60.0
"""How long a shard may take to be let in."""
LONGEST_PAUSE = 60.0
"""Seconds between two attempts to open a shard, at most."""
IDENTIFY_SECONDS = 5.0
"""Between two shards that identify themselves (https://docs.discord.com/developers/events/gateway#rate-limiting)."""

QUEUE, SHARDS = "_AutoShardedClient__queue", "_AutoShardedClient__shards"
"""discord.py's private names of what `launch_shard` fills."""

FAILURES = (
    *(OSError, TimeoutError, aiohttp.ClientError, ReconnectWebSocket),
    *(discord.HTTPException, discord.GatewayNotFound, discord.ConnectionClosed),
)


class ResumingShard(Shard):
    """A shard that comes back to its session wherever Discord still has it."""

    def launch(self) -> None:
        """Called by discord.py with each new connection."""
        note_beats(self.ws)
        super().launch()

    async def reconnect(self) -> None:
        """Resume; Discord has the last word on whether that is possible."""
        if self.ws.session_id is None:
            await super().reconnect()
        else:
            await self.reidentify(ReconnectWebSocket(self.id, resume=True))


class ShardedBot(commands.AutoShardedBot):
    """Knows which of its shards are there. `shard_ids` and `shard_count` are discord.py's."""

    identify_seconds = IDENTIFY_SECONDS

    _up: frozenset[int] = frozenset()
    """Shards that Discord has greeted, or welcomed back."""
    served: frozenset[int] = frozenset()
    """Shards whose servers are known."""
    _identified = 0.0
    """Monotonic second at which a shard last identified itself."""

    def is_ready(self) -> bool:
        """Whether the servers of some shard are known: one that cannot be opened does not hold up the others."""
        return bool(self.served)

    async def close(self) -> None:
        """Also where it never logged in: discord.py makes its queue only then."""
        if not hasattr(self, QUEUE):
            setattr(self, QUEUE, asyncio.PriorityQueue())
        await super().close()

    def connected(self) -> dict[int, bool]:
        """Shard → whether it is connected; empty before it is known how many there are."""
        ids = self.shard_ids or range(self.shard_count or 0)
        shards = self.shards
        return {i: i in self._up and i in shards and not shards[i].is_closed() for i in ids}

    def guilds_by_shard(self) -> dict[int, int]:
        """Shard → how many servers are on it."""
        return dict(Counter(guild.shard_id for guild in self.guilds))

    async def on_shard_connect(self, shard_id: int) -> None:
        """Greeted."""
        self._up |= {shard_id}

    async def on_shard_resumed(self, shard_id: int) -> None:
        """Back, as if nothing had been."""
        self._up |= {shard_id}
        log.info("a shard is back", extra={"shard": shard_id})

    async def on_shard_ready(self, shard_id: int) -> None:
        """Its servers are known."""
        self.served |= {shard_id}
        log.info("a shard is connected", extra={"shard": shard_id, "guilds": sum(g.shard_id == shard_id for g in self.guilds)})

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """It comes back by itself."""
        self._up -= {shard_id}
        log.warning("a shard lost its connection", extra={"shard": shard_id})

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Asked by discord.py before each."""
        if initial:
            self._identified = time.monotonic()
            return
        since = time.monotonic() - self._identified
        spread = random.uniform(0.2, 1.0) * self.identify_seconds  # noqa: S311 - Discord asks for 1 to 5 s after a refused session
        await asyncio.sleep(max(self.identify_seconds - since, spread))
        self._identified = time.monotonic()

    async def launch_shard(self, gateway: yarl.URL, shard_id: int, *, initial: bool = False) -> None:
        """Called by discord.py for each, one after another."""
        pause = 1.0
        while not self.is_closed():
            try:
                attempt = DiscordWebSocket.from_client(self, initial=initial, gateway=gateway, shard_id=shard_id)
                ws = await asyncio.wait_for(attempt, CONNECT_SECONDS)
            except FAILURES as error:
                log.warning("a shard cannot connect, trying again", extra={"shard": shard_id, "error": type(error).__name__})
                await asyncio.sleep(pause)
                pause, initial = min(pause * 2, LONGEST_PAUSE), False
            else:
                shard = ResumingShard(ws, self, getattr(self, QUEUE).put_nowait)
                getattr(self, SHARDS)[shard_id] = shard
                shard.launch()
                return
