"""Choices and modes persist, on SQLite and on PostgreSQL."""

from dataclasses import replace

from bot.storage.consent import SqlConsentStore
from bot.storage.database import Database
from moderation.consent import Choice, ConsentMode, ConsentRegister, ConsentStore, GuildPrivacy
from tests.bot.storage.values import ADA, BEN, GUILD, NOON, OTHER_GUILD

OUT = Choice(GUILD, ADA, heard=False, chosen_at=NOON)
IN = Choice(OTHER_GUILD, ADA, heard=True, chosen_at=NOON)


async def test_choices_and_modes_come_back_as_they_were_made_last(database: Database) -> None:
    store: ConsentStore = SqlConsentStore(database)
    for choice in (replace(OUT, heard=True), OUT, IN):
        await store.save_choice(choice)
    for mode in (ConsentMode.OPT_OUT, ConsentMode.OPT_IN):
        await store.save_guild(GuildPrivacy(OTHER_GUILD, mode))
    assert set(await store.choices()) == {OUT, IN}
    assert await store.guilds() == [GuildPrivacy(OTHER_GUILD, ConsentMode.OPT_IN)]


async def test_a_restarted_process_hears_whom_it_may(database: Database) -> None:
    store = SqlConsentStore(database)
    await store.save_choice(OUT)
    await store.save_choice(IN)
    await store.save_guild(GuildPrivacy(OTHER_GUILD, ConsentMode.OPT_IN))
    register = ConsentRegister()
    await register.load(store)
    heard = {(guild, user): register.accept(guild, user) for guild in (GUILD, OTHER_GUILD) for user in (ADA, BEN)}
    assert heard == {(GUILD, ADA): False, (GUILD, BEN): True, (OTHER_GUILD, ADA): True, (OTHER_GUILD, BEN): False}


async def test_forgetting_keeps_the_refusal_without_which_the_member_would_be_heard_again(database: Database) -> None:
    store = SqlConsentStore(database)
    await store.save_choice(OUT)
    await store.save_choice(IN)
    assert await store.forget(ADA) == 1
    assert await store.choices() == [OUT]
