"""The live panel of `/voice status`: how it looks (pure), and the task that keeps it up to date for a while."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import discord
from discord.utils import format_dt

from cogs.embeds import status_panel
from cogs.lists import bullets
from moderation.health import CallHealth
from moderation.models import Coverage, Session
from moderation.seats import WatchedReport
from moderation.shedding import Shed

EVERY_SECONDS = 5.0
"""Between two looks; Discord is asked only when something changed."""
LIFE_SECONDS = 14 * 60.0
"""Discord lets an answer be edited for 15 minutes."""
MAX_PANELS = 50
"""Panels kept up to date at once; the oldest stops for a new one."""
LOSS_WORTH_TELLING = 0.02
"""Share of packets lost above which the connection is called bad."""
UNTOLD_SECONDS = 30.0
"""Shorter times of not running are not worth telling: a restart."""
ENDED = "I am no longer in the call. `/voice status` says why, if I keep trying."
IDLE = "I am not listening in this server. `/voice join` brings me into a voice channel."
STOPPED = "No longer updated. /voice status shows it anew."


@dataclass(frozen=True, slots=True)
class Look:
    """What a panel shows."""

    session: Session
    coverage: tuple[Coverage, ...]
    health: CallHealth
    shed: Shed = Shed.NOTHING
    watched: tuple[str, ...] = ()
    unheard: tuple[int, ...] = ()
    """Ids of the people present who opted out, or have not opted in where that is asked."""
    troubles: tuple[str, ...] = ()
    """What else of the bot is away, a sentence each."""


def live_panel(look: Look) -> discord.Embed:
    """State, speakers and coverage, encryption, line, and what is wrong."""
    health = look.health
    embed = status_panel(look.session, look.coverage, look.shed, look.unheard)
    if look.shed is not Shed.CHANNEL:  # else the panel says itself that it does not listen
        embed.title = _state(health)
    trouble = [*degraded(health), *look.troubles]
    if look.shed is not Shed.NOTHING:
        trouble.append("This machine is overloaded: see above for what is left out.")
    if trouble:
        embed.colour = discord.Colour.red()
    embed.insert_field_at(0, name="Not well" if trouble else "All well", value=bullets(trouble), inline=False)
    embed.insert_field_at(1, name="Line", value=_line(health))
    embed.insert_field_at(2, name="Encryption", value=_encryption(health))
    if look.watched:
        embed.insert_field_at(3, name="Watched", value=bullets(look.watched), inline=False)
    return embed


def watched_lines(report: Sequence[WatchedReport]) -> list[str]:
    """The watched channels in their order, each with what was not covered."""
    return [_watched(each) for each in report]


def _watched(each: WatchedReport) -> str:
    counts = [f"{each.uncovered_seconds / 60:.0f} min not covered"] if each.uncovered_seconds >= 1 else []
    counts += [f"{each.down_seconds / 60:.0f} min not running"] if each.down_seconds >= UNTOLD_SECONDS else []
    missed = f", {' and '.join(counts)} since {format_dt(each.since, 'R')}" if counts else ""
    held = ", waiting until everybody has left because a moderator sent me away" if each.held else ""
    since = f", cannot be entered since {format_dt(each.refused_since, 'R')}. {each.refused_why}" if each.refused_since else ""
    return f"<#{each.channel_id}>: {each.people} there now{missed}{held}{since.rstrip()}"


def degraded(health: CallHealth) -> list[str]:
    """What keeps the bot from hearing everything, in words."""
    found = []
    if not health.connected:
        found.append("The voice connection is down; it is being restored.")
    if health.connected and not health.listening:
        found.append("The members have not been told yet; nobody is heard until then.")
    if health.server_deafened:
        found.append("I am server-deafened: undeafen me to be heard out.")
    for each in health.unheard:
        who = f"<@{each.speaker.id}>" if each.speaker.id else "somebody (I cannot tell who)"
        found.append(f"Not heard for {each.seconds:.0f} s: {who}.")
    if health.loss > LOSS_WORTH_TELLING:
        found.append(f"{health.loss:.0%} of the packets are lost on the way.")
    if health.dropped:
        found.append(f"{health.dropped} frames were dropped because this machine is too slow.")
    return found


def _state(health: CallHealth) -> str:
    if not health.connected:
        return "Reconnecting"
    if health.server_deafened:
        return "Deafened"
    return "Listening" if health.listening else "Telling the members"


def idle_panel(troubles: Sequence[str], watched: Sequence[str]) -> discord.Embed:
    """No session in this server: what is wrong all the same, and where the bot joins by itself."""
    embed = discord.Embed(title="Not listening", description=IDLE, colour=discord.Colour.light_grey())
    if troubles:
        embed.colour = discord.Colour.red()
        embed.add_field(name="Not well", value=bullets(troubles), inline=False)
    if watched:
        embed.add_field(name="Watched", value=bullets(watched), inline=False)
    return embed


def _line(health: CallHealth) -> str:
    delay = "not measured yet" if math.isinf(health.latency) else f"{health.latency * 1000:.0f} ms"
    return f"{health.loss:.1%} lost, delay {delay}\n{health.reconnects} reconnects, {health.recoveries} re-keys"


def _encryption(health: CallHealth) -> str:
    if not health.dave_version:
        return "not end-to-end"
    digits = health.privacy_code or ""
    code = " ".join(digits[at : at + 5] for at in range(0, len(digits), 5))
    epoch = "none yet" if health.dave_epoch is None else str(health.dave_epoch)
    return f"DAVE epoch {epoch}\nprivacy code `{code or 'none yet'}`"


class LivePanels:
    """Keeps answers to `/voice status` up to date until they are too old, the call ends, or the same person asks anew."""

    def __init__(self, *, every: float = EVERY_SECONDS, life: float = LIFE_SECONDS) -> None:
        """`every`, `life`: seconds."""
        self._every = every
        self._life = life
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def keep(self, interaction: discord.Interaction, look: Callable[[], Look | None]) -> None:
        """Edit the interaction's answer from now on; `look` gives None when the call is over."""
        key = (interaction.guild_id or 0, interaction.user.id)
        if key not in self._tasks and len(self._tasks) >= MAX_PANELS:
            self._tasks.pop(next(iter(self._tasks))).cancel()
        before = self._tasks.pop(key, None)
        if before is not None:
            before.cancel()
        task = asyncio.get_running_loop().create_task(self._update(interaction, look), name="live panel")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def close(self) -> None:
        """Stop them all."""
        for task in tuple(self._tasks.values()):
            task.cancel()

    def _forget(self, key: tuple[int, int], task: "asyncio.Task[None]") -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    async def _update(self, interaction: discord.Interaction, look: Callable[[], Look | None]) -> None:
        shown: discord.Embed | None = None
        try:
            async with asyncio.timeout(self._life):
                while (seen := look()) is not None:
                    embed = live_panel(seen)
                    if embed != shown:
                        shown = embed
                        await _edit(interaction, embed)
                    await asyncio.sleep(self._every)
                shown = discord.Embed(title="Left", description=ENDED, colour=discord.Colour.orange())
                await _edit(interaction, shown)
        except (TimeoutError, asyncio.CancelledError) as ending:
            if shown is not None:
                shown.set_footer(text=STOPPED)
                shown.timestamp = discord.utils.utcnow()
                await _edit(interaction, shown)
            if isinstance(ending, asyncio.CancelledError):
                raise


async def _edit(interaction: discord.Interaction, embed: discord.Embed) -> None:
    """A panel that the person dismissed, or that Discord does not take now, is no trouble: the next look tries again."""
    try:
        await interaction.edit_original_response(embed=embed)
    except Exception:  # besides Discord's refusals all that a lost connection raises: nobody waits for this task
        return
