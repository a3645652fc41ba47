"""`make faults`: every fault that a bot in Discord meets, brought about in the loopback, and what came of it, measured.

    python -m tests.faults [NAME…] [--write]      prints a Markdown table; --write puts it into tests/README.md

For each fault: what was lost (speech that was sent and not heard, alerts that did not arrive), what moderators read, how long it took
until all was as before. Somebody speaks all the while, in real time. What the table says about a fault is tested elsewhere, one by one.
"""

import argparse
import asyncio
import logging
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import event

import moderation.watched_server
from bot.metrics.calls import Calls
from bot.shards import IDENTIFY_SECONDS
from moderation.events import AlertRaised
from moderation.settings import GuildSettings
from tests.bot.storage.test_recorder import said
from tests.bot.test_outbox import POST, alert
from tests.loopback.faults import Fault as RestFault
from tests.loopback.permissions import BOT, Permission
from tests.loopback.snowflake import shard_of
from tests.loopback.state import Message
from tests.readme import TESTS_README, with_section
from tests.scenario import Stage, conversation, open_stage
from tests.test_crash import INSULT, MESSAGES, open_world

TOGETHER = 4
"""Faults under way at once; they wait more than they work."""
LEAD, TAIL = 1.0, 1.0
"""Seconds of undisturbed speech before and after a fault."""
PATIENCE = 40.0
"""Seconds that a recovery may take before it counts as none."""
GAP = 0.3
"""Seconds without a packet from somebody who speaks that count as an interruption: network jitter stays far below."""
LOOK = 0.01
ALONE = 3.0
"""Instead of `ALONE_SECONDS`, so that the table is done this year."""
LINE = conversation()[0]


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a fault."""

    lost: str
    told: str
    """What moderators read, without names and times."""
    recovery: str


@dataclass(slots=True)
class Scene:
    """A call in which somebody speaks without a pause, and what of it is heard."""

    stage: Stage
    calls: Calls
    talking: asyncio.Task[object] | None = None
    gaps: list[tuple[float, float]] = field(default_factory=list)
    """Monotonic begin and end of each interruption."""

    @property
    def bot_id(self) -> int:
        return self.stage.discord.world.bot.id

    @property
    def heard(self) -> float:
        """Seconds of the speaker's packets that were decoded, in all sessions."""
        return self.calls.sums()["packets", "decoded"] * 0.02

    @property
    def spoken(self) -> float:
        return self.stage.spoken(self.stage.members[LINE.speaker].id)

    def speak(self) -> None:
        human = self.stage.voice.human(self.stage.members[LINE.speaker].id)
        self.talking = asyncio.create_task(human.say(LINE.path.read_bytes()[44:] * 60))

    async def watch(self) -> None:
        """Note interruptions, until cancelled."""
        before, since = self.heard, time.monotonic()
        while True:
            await asyncio.sleep(LOOK)
            now, heard = time.monotonic(), self.heard
            if heard != before:
                if now - since > GAP:
                    self.gaps.append((since, now))
                before, since = heard, now

    async def steady(self, seconds: float) -> bool:
        """Wait until speech was heard for so long without interruption; whether it came to that."""
        end, began, before, last = time.monotonic() + PATIENCE, None, self.heard, time.monotonic()
        while time.monotonic() < end:
            await asyncio.sleep(LOOK)
            now, heard = time.monotonic(), self.heard
            if heard != before:
                before, last = heard, now
                began = began or now
            elif now - last > GAP:
                began = None
            if began is not None and now - began >= seconds:
                return True
        return False


def told(cards: list[Message]) -> str:
    """The notices as they stand, without names and times."""
    texts = [f"**{card.embeds[0]['title']}**: {card.embeds[0]['description']}" for card in cards if card.embeds]
    return masked(" / ".join(texts)) or "nothing"


def masked(text: str) -> str:
    """One line of Markdown that names nobody."""
    for pattern, shown in (
        (r"<@!?\d+>", "@member"),
        (r"<#\d+>", "#channel"),
        (r"<t:\d+(:\w)?>", "12:00:00"),
        (r"\s*\n\s*", " "),
        (r"\|", "/"),
    ):
        text = re.sub(pattern, shown, text)
    return text


def seconds(value: float) -> str:
    return f"{max(value, 0.0):.1f} s"


@asynccontextmanager
async def scene(folder: Path, shards: int = 1) -> AsyncIterator[Scene]:
    """The bot listens; nobody speaks yet."""
    async with open_stage(folder, shards=shards) as stage:
        calls = Calls(stage.app.services.sessions.running)
        stage.app.events.subscribe(calls)
        await stage.begin()
        await stage.voice.settled(stage.lobby.id)
        yield Scene(stage, calls)


Cause = Callable[[Scene], Awaitable[None]]


async def in_a_call(folder: Path, *, cause: Cause, returns: bool = True, shards: int = 1) -> Row:
    """Somebody speaks, the fault comes, the speech goes on. `returns`: whether the bot is to hear again by itself."""
    async with scene(folder, shards) as at:
        at.speak()
        watching = asyncio.create_task(at.watch())
        await at.steady(LEAD)
        at.gaps.clear()
        happened, spoken, heard = time.monotonic(), at.spoken, at.heard
        await cause(at)
        back = await at.steady(TAIL) if returns else False
        for task in (at.talking, watching):
            assert task is not None
            task.cancel()
        lost = (at.spoken - spoken) - (at.heard - heard)
        recovered = max((end for _, end in at.gaps), default=happened) - happened
        await asyncio.sleep(0.3)  # a notice may be on its way
        row = told([c for c in at.stage.cards() if not c.embeds[0].get("fields")])
    return Row(seconds(lost) if returns else "all from then on", row, seconds(recovered) if back else "none by itself")


# ---- voice ------------------------------------------------------------------------------------------------------------------------


async def nothing(at: Scene) -> None:
    """To see that the measure itself loses nothing."""


async def close(at: Scene, code: int) -> None:
    await at.stage.voice.close_client(guild_id=at.stage.guild.id, user_id=at.bot_id, code=code)


async def move(at: Scene) -> None:
    """A moderator drags the bot and the speaker along: Discord closes with 4014."""
    garden = at.stage.discord.add_voice_channel(at.stage.guild, "Garden")
    guild = at.stage.app.client.get_guild(at.stage.guild.id)
    await at.stage.discord.wait_for(lambda: guild is not None and guild.get_channel(garden.id))
    assert at.talking is not None
    at.talking.cancel()
    await at.stage.discord.voice_move(at.stage.discord.bot_in(at.stage.guild.id), garden)
    await at.stage.discord.voice_move(at.stage.members[LINE.speaker], garden)
    at.speak()


async def abort(at: Scene) -> None:
    await at.stage.voice.abort_client(at.bot_id)


async def kick(at: Scene) -> None:
    await at.stage.discord.voice_leave(at.stage.discord.bot_in(at.stage.guild.id))
    await at.stage.discord.wait_for(at.stage.cards, what="the notice")


async def crash(at: Scene) -> None:
    """The voice server dies; for a second there is no other."""
    at.stage.discord.voice_states.servers_down = True
    await at.stage.discord.change_voice_server(at.stage.guild.id)
    session = at.stage.voice.client(at.bot_id)
    await close(at, 4015)
    session.resumable = False
    await asyncio.sleep(1.0)
    at.stage.discord.voice_states.servers_down = False
    await at.stage.voice.move_media()
    await at.stage.discord.change_voice_server(at.stage.guild.id)


async def new_server(at: Scene) -> None:
    await at.stage.voice.move_media()
    await at.stage.discord.change_voice_server(at.stage.guild.id)


async def deafen(at: Scene) -> None:
    """A moderator deafens the bot: Discord sends it no more voice; two seconds after the notice they undo it."""
    bot = at.stage.discord.bot_in(at.stage.guild.id)
    at.stage.discord.server_mute(bot, deaf=True)
    at.stage.voice.client(bot.id).deafened = True
    await at.stage.discord.wait_for(at.stage.cards, what="the notice")
    await asyncio.sleep(2.0)
    at.stage.discord.server_mute(bot, deaf=False)
    at.stage.voice.client(bot.id).deafened = False


async def afk(at: Scene) -> None:
    channel = at.stage.discord.add_voice_channel(at.stage.guild, "AFK")
    guild = at.stage.app.client.get_guild(at.stage.guild.id)
    assert guild is not None
    await at.stage.discord.wait_for(lambda: guild.get_channel(channel.id))
    guild._afk_channel_id = channel.id
    await at.stage.discord.voice_move(at.stage.discord.bot_in(at.stage.guild.id), channel)
    await at.stage.discord.wait_for(at.stage.cards, what="the notice")


async def alone(folder: Path) -> Row:
    """Everybody leaves but a bot."""
    async with scene(folder) as at:
        music = at.stage.discord.add_member(at.stage.guild, "music", bot=True)
        await at.stage.discord.voice_join(music, at.stage.lobby)
        began = time.monotonic()
        for member in at.stage.members.values():
            await at.stage.discord.voice_leave(member)
        await at.stage.discord.wait_for(at.stage.cards, ALONE + 15.0, what="the notice")
        return Row("nothing", told(at.stage.cards()), f"left after {time.monotonic() - began:.1f} s (rule set to {ALONE:.0f} s here)")


async def full(folder: Path, *, may_move: bool) -> Row:
    """The channel fills up without the bot's knowing: Discord answers its wish to join with nothing at all."""
    async with open_stage(folder) as stage:
        await stage.discord.voice_join(stage.members[LINE.speaker], stage.lobby)
        if may_move:
            stage.discord.set_permissions(stage.guild, stage.discord.bot_role(stage.guild), BOT | Permission.MOVE_MEMBERS)
        stage.lobby.user_limit = 1
        began = time.monotonic()
        reply = await stage.discord.slash(stage.moderator, stage.alerts, "voice join", channel=stage.lobby, timeout=30.0)
        took = time.monotonic() - began
        said = reply.content or " ".join(embed.get("description", "") for embed in reply.embeds)
        listens = stage.app.services.sessions.running(stage.guild.id) is not None
        return Row(
            "nothing" if listens else "all from then on",
            masked(f"(answer) {said}"),
            f"{'joined' if listens else 'answered'} after {took:.1f} s",
        )


async def on_stage(folder: Path) -> Row:
    """Stage channels have no end-to-end encryption."""
    async with open_stage(folder) as stage:
        calls = Calls(stage.app.services.sessions.running)
        stage.app.events.subscribe(calls)
        channel = stage.discord.add_stage_channel(stage.guild, "Talks")
        await stage.discord.voice_join(stage.members[LINE.speaker], channel)
        began = time.monotonic()
        reply = await stage.discord.slash(stage.moderator, stage.alerts, "voice join", channel=channel, timeout=30.0)
        took = time.monotonic() - began
        at = Scene(stage, calls)
        at.speak()
        await at.steady(TAIL + LEAD)
        assert at.talking is not None
        at.talking.cancel()
        await asyncio.sleep(GAP)
        return Row(seconds(at.spoken - at.heard), masked(f"(answer) {reply.content}"), f"joined after {took:.1f} s")


# ---- the main gateway -------------------------------------------------------------------------------------------------------------


async def resume(at: Scene) -> None:
    gateway = at.stage.discord.gateway
    await gateway.close(4000)
    await at.stage.discord.wait_for(lambda: gateway.resumes and all(at.stage.app.client.connected().values()), what="the resume")


async def fresh_identify(at: Scene) -> None:
    """With the pauses that Discord wants."""
    at.stage.app.client.identify_seconds = IDENTIFY_SECONDS
    at.stage.app.client._connection.guild_ready_timeout = 2.0
    await at.stage.discord.gateway.invalidate()


async def other_shard(at: Scene) -> None:
    """The shard that is not the server's loses its session and identifies anew."""
    gateway, other = at.stage.discord.gateway, 1 - shard_of(at.stage.guild.id, 2)
    await gateway.invalidate(shard=other)
    await at.stage.discord.wait_for(lambda: gateway.identifies == 3 and all(at.stage.app.client.connected().values()))


# ---- alerts and rows --------------------------------------------------------------------------------------------------------------


async def alerting(folder: Path, fault: RestFault) -> Row:
    """Discord's HTTP side misbehaves just when an alert is to be posted."""
    async with open_stage(folder) as stage:
        await stage.app.services.guilds.save_settings(GuildSettings(stage.guild.id, alert_channel_id=stage.alerts.id))
        stage.discord.faults.append(fault)
        began = time.monotonic()
        await stage.app.events.emit(AlertRaised(alert(stage)))
        await asyncio.wait_for(stage.app.dispatcher.drained(), PATIENCE)
        return Row(f"{1 - len(stage.cards())} of 1 alerts", f"{len(stage.cards())} card", seconds(time.monotonic() - began))


async def an_insult(at: Scene) -> float:
    """Somebody says something bad; seconds until the card is there, from when it was said."""
    line = next(line for line in conversation() if line.text == INSULT)
    known = len(at.stage.cards())
    await at.stage.voice.human(at.stage.members[line.speaker].id).say(line.path)
    said = time.monotonic()
    await at.stage.discord.wait_for(lambda: len(at.stage.cards()) > known, PATIENCE, what="the card")
    return time.monotonic() - said


async def rows_kept(at: Scene, hold: Callable[[], Awaitable[None]], release: Callable[[], Awaitable[None]]) -> Row:
    """The database takes nothing while somebody says something bad; then it does again."""
    recorder = at.stage.app.recorder
    await hold()
    delay = await an_insult(at)
    await at.stage.discord.wait_for(lambda: recorder.away, PATIENCE, what="the journal to be used")
    waiting = recorder.waiting
    await release()
    began = time.monotonic()
    await at.stage.discord.wait_for(lambda: not recorder.away and not recorder.waiting, PATIENCE, what="the rows")
    lost = recorder.dropped + recorder.failed
    return Row(f"0 of 1 alerts, {lost} of {waiting} rows", f"1 card, {delay:.1f} s after the words", seconds(time.monotonic() - began))


async def locked(folder: Path) -> Row:
    async with scene(folder) as at:
        other = sqlite3.connect(folder / "earshot.db", isolation_level=None)

        async def hold() -> None:
            other.execute("BEGIN IMMEDIATE")

        async def release() -> None:
            other.execute("ROLLBACK")
            other.close()

        return await rows_kept(at, hold, release)


async def disk_full(folder: Path) -> Row:
    """SQLite may not grow by a page, as on a full disk; the journal still fits."""
    async with scene(folder) as at:
        database = at.stage.app.services.guilds._database  # type: ignore[attr-defined]

        pages = [10**6]
        event.listen(database._engine.sync_engine, "begin", lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages[0]}"))

        async def hold() -> None:
            pages[0] = 1  # as many as there are
            for n in range(200):  # until those that there are, are full
                await at.stage.app.recorder.emit(said(n))

        async def release() -> None:
            pages[0] = 10**6

        return await rows_kept(at, hold, release)


async def killed(folder: Path) -> Row:
    """The process dies when its alert is on the way to Discord; another is started at once."""
    async with open_world(folder, f"sqlite:///{folder}/data/earshot.db") as world:
        await world.start()
        await world.listen()
        async with asyncio.timeout(PATIENCE):
            while not await world.rows("SELECT guild_id FROM seats"):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.1)
        world.discord.faults.append(RestFault("POST", MESSAGES, drop=True, delay=4.0))
        await world.say(INSULT)
        await world.discord.wait_for(lambda: world.asked("POST"), PATIENCE, what="the card to be on its way")
        await world.kill()
        began = time.monotonic()
        await world.start()
        await world.discord.wait_for(lambda: world.discord.world.bot.id in world.guild.voice_states, PATIENCE, what="the bot to be back")
        back = time.monotonic() - began
        await world.settled()
        cards = len(world.cards())
        evidence = [f["value"] for c in world.cards() for f in c.embeds[0]["fields"] if f["name"] == "Evidence"]
        await world.stop()
        return Row(
            f"{1 - cards} of 1 alerts; its clip; {back:.1f} s of speech", masked(f"{cards} card: {' '.join(evidence)}"), seconds(back)
        )


async def overload(folder: Path) -> Row:
    """Three people talk 25 times as fast as people do, and a fourth says something bad."""
    async with scene(folder) as at:
        line = next(line for line in conversation() if line.text == INSULT)
        others = [at.stage.voice.human(member.id) for name, member in at.stage.members.items() if name != line.speaker]
        audio = LINE.path.read_bytes()[44:] * 60
        talking = [asyncio.create_task(human.say(audio, speed=25.0)) for human in others]
        await at.stage.discord.wait_for(lambda: at.calls.sums()["shed", "partials"], PATIENCE, what="something to be left out")
        await at.stage.voice.human(at.stage.members[line.speaker].id).say(line.path)
        said = time.monotonic()
        for task in talking:
            task.cancel()
        over = time.monotonic()
        with suppress(TimeoutError):
            await at.stage.discord.wait_for(at.stage.cards, PATIENCE, what="the card")
        delay = time.monotonic() - said
        running = at.stage.app.services.sessions.running(at.stage.guild.id)
        assert running is not None
        await at.stage.discord.wait_for(lambda: not running.shed, PATIENCE, what="the end of the overload")
        sums = at.calls.sums()
        lost = (
            f"{1 - len(at.stage.cards())} of 1 alerts; {sums['shed', 'partials']:.0f} partials, {sums['shed', 'seconds']:.1f} s of speech"
        )
        return Row(lost, f"1 card, {delay:.1f} s after the words", seconds(time.monotonic() - over))


# ---- the table --------------------------------------------------------------------------------------------------------------------

Run = Callable[[Path], Awaitable[Row]]

FAULTS: dict[str, Run] = {
    "no fault (the measure itself)": partial(in_a_call, cause=nothing),
    **{f"voice close {code}": partial(in_a_call, cause=partial(close, code=code)) for code in (4006, 4009, 4015)},
    "voice close 4014 with a move (a moderator moves the bot)": partial(in_a_call, cause=move),
    **{f"voice close {code}": partial(in_a_call, cause=partial(close, code=code)) for code in (4021, 4022, 1000)},
    "voice close 4014 without a move": partial(in_a_call, cause=partial(close, code=4014)),
    "TCP abort of the voice websocket": partial(in_a_call, cause=abort),
    "voice server crash, none for 1 s": partial(in_a_call, cause=crash),
    "another voice server (VOICE_SERVER_UPDATE)": partial(in_a_call, cause=new_server),
    "kick": partial(in_a_call, cause=kick, returns=False),
    "main gateway drops and resumes": partial(in_a_call, cause=resume),
    "main gateway: fresh identify": partial(in_a_call, cause=fresh_identify),
    "one of two shards reconnects, heard on the other": partial(in_a_call, cause=other_shard, shards=2),
    "channel full, Discord does not answer": partial(full, may_move=False),
    "channel full, with Move Members": partial(full, may_move=True),
    "stage channel (no DAVE)": on_stage,
    "server-deafened for a while": partial(in_a_call, cause=deafen),
    "moved to the AFK channel": partial(in_a_call, cause=afk, returns=False),
    "alone with bots": alone,
    "HTTP 500 to an alert, three times": partial(alerting, fault=RestFault(*POST, times=3, status=500)),
    "HTTP 429 to an alert, retry after 2 s": partial(alerting, fault=RestFault(*POST, status=429, retry_after=2.0)),
    "no HTTP answer to an alert for 30 s": partial(alerting, fault=RestFault(*POST, delay=30.0)),
    "database locked": locked,
    "disk full for the database": disk_full,
    "kill -9 with an alert on its way": killed,
    "CPU overload": overload,
}
ALONE_ON_THE_MACHINE = ("kill -9 with an alert on its way", "CPU overload")
"""Faults whose figures others' work would spoil."""


async def measure(names: list[str], progress: Progress) -> dict[str, Row]:
    """Every fault in a world of its own, `TOGETHER` at once; one that fails has a row that says so."""
    moderation.watched_server.ALONE_SECONDS = ALONE
    task, rows = progress.add_task("faults", total=len(names)), dict[str, Row]()

    async def one(name: str, turn: asyncio.Semaphore) -> None:
        async with turn:
            with tempfile.TemporaryDirectory(prefix="earshot-fault-") as folder:
                try:
                    rows[name] = await FAULTS[name](Path(folder))
                except Exception as error:
                    rows[name] = Row("not measured", f"{type(error).__name__}: {masked(str(error))}", "not measured")
        progress.advance(task)

    turns, single = asyncio.Semaphore(TOGETHER), asyncio.Semaphore(1)
    await asyncio.gather(*(one(name, turns) for name in names if name not in ALONE_ON_THE_MACHINE))
    await asyncio.gather(*(one(name, single) for name in names if name in ALONE_ON_THE_MACHINE))
    return {name: rows[name] for name in names}


def table(rows: dict[str, Row]) -> str:
    """Markdown."""
    lines = ["| fault | lost | what moderators read | until all was as before |", "| --- | --- | --- | --- |"]
    return "\n".join(lines + [f"| {name} | {row.lost} | {row.told} | {row.recovery} |" for name, row in rows.items()])


def main() -> int:
    """The command line; 1 when a fault could not be measured."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only faults whose name contains one of these")
    parser.add_argument("--write", action="store_true", help="put the table into tests/README.md")
    args = parser.parse_args()
    names = [name for name in FAULTS if not args.names or any(part in name for part in args.names)]
    if not names:
        parser.error(f"no fault is called so; there are: {'; '.join(FAULTS)}")
    logging.disable(logging.CRITICAL)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        rows = asyncio.run(measure(names, progress))
    sys.stdout.write(table(rows) + "\n")
    if args.write:
        TESTS_README.write_text(with_section(TESTS_README.read_text(encoding="utf-8"), "faults", table(rows)), encoding="utf-8")
    return int(any(row.lost == "not measured" for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
