"""What the model cannot hear, recordings, imports, exports and presets, as a moderator uses them in Discord."""

import io
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cogs import askers
from moderation.audio_trial import MAX_BYTES as MAX_AUDIO
from moderation.term_exchange import MAX_BYTES as MAX_FILE
from moderation.terms import Term, TermType
from tests.loopback.interaction_data import InvalidOption
from tests.loopback.replies import Reply
from tests.loopback.routing import Upload
from tests.scenario import CONVERSATION, MODERATOR, Stage, open_stage

pytestmark = pytest.mark.integration


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        yield opened


async def use(stage: Stage, command: str, **options: object) -> Reply:
    return await stage.discord.slash(stage.moderator, stage.alerts, command, timeout=30.0, **options)  # type: ignore[arg-type]


def seen(reply: Reply) -> str:
    """All that the person reads."""
    assert reply.ephemeral, "answers to moderators are for their eyes only"
    return reply.content + json.dumps(reply.embeds, ensure_ascii=False)


def openly(text: str) -> str:
    """What is read without a click on a spoiler."""
    return "".join(text.split("||")[::2])


async def own_terms(stage: Stage) -> list[Term]:
    return list(await stage.app.services.lexicon.terms(stage.guild.id))


def wav(pcm: bytes) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(pcm)
    return held.getvalue()


# Terms that the model cannot hear.


async def test_a_term_that_the_model_knows_is_simply_added(stage: Stage) -> None:
    reply = await use(stage, "lexicon add", term="idiot", severity=4)
    assert "cannot hear" not in seen(reply)
    assert reply.components == []


async def test_a_term_outside_the_vocabulary_is_told_at_once_with_variants_and_one_click_adds_them(stage: Stage) -> None:
    reply = await use(stage, "lexicon add", term="scumbags and urself", category="insult", severity=9)
    assert "cannot hear" in seen(reply)
    assert "urself" not in openly(seen(reply))
    reply = await use(stage, "lexicon add", term="urself", category="insult", severity=9)
    assert "||yourself||" in seen(reply)
    await stage.discord.click(stage.moderator, reply, "lexicon-offer-menu", ["yourself"])
    assert "Added as variants: ||yourself||." in reply.content
    assert reply.components == []
    assert Term("yourself", TermType.WORD, "insult", 3) in await own_terms(stage), "another word than the term: below what alerts"
    assert "would be noted for review" in seen(await use(stage, "lexicon test", text="look at yourself"))


async def test_all_variants_can_be_added_or_none(stage: Stage) -> None:
    reply = await use(stage, "lexicon add", term="numbskull", category="insult", severity=6)
    await stage.discord.click(stage.moderator, reply, "lexicon-offer-none")
    assert [t.term for t in await own_terms(stage)] == ["numbskull"]
    reply = await use(stage, "lexicon add", term="numbskull", category="insult", severity=6)
    offered = len(next(item for row in reply.components for item in row["components"] if "options" in item)["options"])
    await stage.discord.click(stage.moderator, reply, "lexicon-offer-all")
    assert len(await own_terms(stage)) == 1 + offered > 1


async def test_what_is_flagged_already_needs_no_variant(stage: Stage) -> None:
    text = seen(await use(stage, "lexicon add", term="kill yourselph", category="self_harm", severity=9))
    assert "flags all the same where the model writes ||kill yourself||" in text


async def test_another_moderator_may_not_press_the_buttons(stage: Stage) -> None:
    other = stage.discord.add_member(stage.guild, "other mod", permissions=MODERATOR)
    reply = await use(stage, "lexicon add", term="numbskull")
    refused = await stage.discord.click(other, reply, "lexicon-offer-all")
    assert "Only who used the command" in refused.content
    assert [t.term for t in await own_terms(stage)] == ["numbskull"]


async def test_the_coverage_counts_and_pages_and_names_terms_behind_spoilers_only(stage: Stage) -> None:
    reply = await use(stage, "lexicon coverage")
    (embed,) = reply.embeds
    assert "terms cannot be heard" in embed["title"]
    assert "numbskull" in embed["description"]
    assert "numbskull" not in openly(embed["description"])
    assert "Page 1 of 2" in json.dumps(embed)
    for n in range(20):
        await stage.app.services.lexicon.add(stage.guild.id, Term(f"zzqx{'abcdefghijklmnopqrst'[n]}", TermType.WORD, "custom", 10))
    reply = await use(stage, "lexicon coverage")
    assert "custom: 20" in json.dumps(reply.embeds)
    assert "Page 1 of 4" in json.dumps(reply.embeds)
    with pytest.raises(InvalidOption, match="disabled"):
        await stage.discord.click(stage.moderator, reply, "lexicon-coverage-back")
    for _ in range(3):
        await stage.discord.click(stage.moderator, reply, "lexicon-coverage-next")
    assert "Page 4 of 4" in json.dumps(reply.embeds)
    assert "shared" in reply.embeds[0]["description"]
    await stage.discord.click(stage.moderator, reply, "lexicon-coverage-back")
    assert "Page 3 of 4" in json.dumps(reply.embeds)


# Recordings.


async def try_audio(stage: Stage, data: bytes, name: str = "clip.wav") -> str:
    return seen(await use(stage, "lexicon test", audio=Upload(name, data, "audio/wav")))


async def test_a_recording_is_transcribed_masked_and_explained(stage: Stage) -> None:
    text = await try_audio(stage, (CONVERSATION / "ben_03.wav").read_bytes())
    assert "This would alert" in text
    assert "||**i hate you go and kill yourself**||" in text or "||**kill yourself**||" in text
    assert "self_harm" in text or "self\\\\_harm" in text
    assert "confidence" in text
    assert "kill yourself" not in openly(text)
    assert stage.cards() == []


async def test_silence_has_no_words(stage: Stage) -> None:
    text = await try_audio(stage, wav(bytes(3 * 32_000)))
    assert "No words were recognised" in text
    assert "3.0 s" in text


async def test_of_three_minutes_the_first_is_listened_to(stage: Stage) -> None:
    text = await try_audio(stage, wav(bytes(180 * 32_000)))
    assert "60.0 s of audio" in text
    assert "the rest was left out" in text


async def test_what_is_no_audio_or_too_much_is_refused(stage: Stage) -> None:
    assert "no audio file" in await try_audio(stage, b"hello, this is text", "notes.txt")
    assert "larger than" in await try_audio(stage, bytes(MAX_AUDIO + 1))
    assert "either a text or a recording" in seen(await use(stage, "lexicon test"))
    both = await use(stage, "lexicon test", text="hi", audio=Upload("a.wav", wav(b""), "audio/wav"))
    assert "either a text or a recording" in seen(both)


async def test_a_recording_that_breaks_off_is_used_as_far_as_it_goes(stage: Stage) -> None:
    whole = (CONVERSATION / "ben_03.wav").read_bytes()
    assert "s of audio listened to" in await try_audio(stage, whole[: len(whole) * 3 // 4])


# Files.


def file(text: str, name: str = "list.csv") -> Upload:
    return Upload(name, text.encode(), "text/plain")


async def apply(stage: Stage, reply: Reply) -> None:
    await stage.discord.click(stage.moderator, reply, "lexicon-import-apply")
    await stage.discord.wait_for(lambda: "Done: " in seen(reply), what="the import")


async def test_an_import_shows_what_would_change_and_waits_for_a_yes(stage: Stage) -> None:
    await use(stage, "lexicon add", term="Idiot", category="insult", severity=4)
    await use(stage, "lexicon add", term="moron", category="insult", severity=4)
    reply = await use(stage, "lexicon import", file=file("term,category,severity\nidiot,insult,6\nmoron,insult,4\nloser,insult,4\n"))
    text = seen(reply)
    assert "1 added, 1 replaced, 1 unchanged" in text
    assert "loser" in text
    assert "loser" not in openly(reply.embeds[0]["description"])
    assert len(await own_terms(stage)) == 2
    await apply(stage, reply)
    assert "Done: 2 terms changed" in seen(reply)
    assert reply.components == []
    assert [(t.term, t.severity) for t in await own_terms(stage)] == [("idiot", 6), ("loser", 4), ("moron", 4)]
    again = await use(stage, "lexicon import", file=file("term,category,severity\nloser,insult,4\n"))
    assert "changes nothing" in seen(again)
    assert "has all of its terms already" in seen(again)
    assert again.components == []
    assert "no terms in it" in seen(await use(stage, "lexicon import", file=file("term,category,severity\n")))


async def test_an_import_can_be_cancelled(stage: Stage) -> None:
    reply = await use(stage, "lexicon import", file=file("walnut\n", "list.txt"))
    await stage.discord.click(stage.moderator, reply, "lexicon-import-cancel")
    assert "Nothing was changed" in reply.content
    assert await own_terms(stage) == []


async def test_an_import_that_no_longer_fits_says_so_and_changes_nothing(stage: Stage) -> None:
    reply = await use(stage, "lexicon import", file=file("walnut\npecan\n", "list.txt"))
    terms = [Term(f"w{n}x", TermType.WORD, "custom", 1) for n in range(4999)]
    await stage.app.services.lexicon.add(stage.guild.id, *terms)
    clicked = await stage.discord.click(stage.moderator, reply, "lexicon-import-apply")
    await stage.discord.wait_for(lambda: clicked.followups, what="the refusal")
    assert "5,001 terms, 5,000 are the most" in json.dumps(clicked.followups[0].embeds)
    assert len(await own_terms(stage)) == 4999


async def test_buttons_go_away_when_their_time_is_over(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askers, "SECONDS", 0.2)
    reply = await use(stage, "lexicon add", term="numbskull")
    assert reply.components
    await stage.discord.wait_for(lambda: not reply.components, what="the buttons to go")
    assert "cannot hear" in seen(reply), "what was said stays"


async def test_all_formats_are_read(stage: Stage) -> None:
    lists = {
        "json": '[{"term": "walnut", "type": "word", "category": "insult", "severity": 3}]',
        "csv": "term\nwalnut\n",
        "text": "walnut # a nut\n",
        "surge": "text,category_1,severity_rating\nwalnut,other / general insult,1.2\n",
        "dsojevic": '[{"match": "walnut", "tags": ["general"], "severity": 2}]',
    }
    for format_, text in lists.items():
        reply = await use(stage, "lexicon import", file=file(text, "list.dat"), format=format_)
        assert "1 added" in seen(reply), format_


async def test_what_is_wrong_in_a_file_is_told_by_line_and_never_quoted(stage: Stage) -> None:
    text = seen(await use(stage, "lexicon import", file=file("term,severity\nwalnut,12\npecan,4\ncashew,x\n")))
    assert "line 2: severity" in text
    assert "line 4: severity" in text
    assert "walnut" not in text
    assert "cashew" not in text
    assert "Choose the format" in seen(await use(stage, "lexicon import", file=file("walnut", "list.dat")))
    assert "not UTF-8" in seen(await use(stage, "lexicon import", file=Upload("list.txt", b"\xff\xfe\x00w", "text/plain")))
    assert "starts with [" in seen(await use(stage, "lexicon import", file=file("walnut", "list.json")))
    assert "larger than" in seen(await use(stage, "lexicon import", file=Upload("l.txt", b"#" * (MAX_FILE + 1), "text/plain")))
    assert "5,000 are the most" in seen(await use(stage, "lexicon import", file=file("\n".join(f"w{n}x" for n in range(5001)), "l.txt")))
    assert await own_terms(stage) == []


async def test_an_export_is_what_an_import_takes(stage: Stage) -> None:
    await use(stage, "lexicon add", term="walnut", category="insult", severity=3)
    await use(stage, "lexicon add", term="long walnut", kind="allow")
    (exported,) = (await use(stage, "lexicon export")).attachments
    assert [e["term"] for e in json.loads(exported.data)] == ["long walnut", "walnut"]
    reply = await use(stage, "lexicon import", file=Upload("mine.json", exported.data, "application/json"))
    assert "0 added, 0 replaced, 2 unchanged" in seen(reply)


async def test_presets_are_offered_shown_and_applied(stage: Stage) -> None:
    choices = await stage.discord.autocomplete(stage.moderator, stage.alerts, "lexicon preset", "name", "")
    assert [c["value"] for c in choices] == ["game-talk-allow", "mild-insults", "severe-phrases", "threat-phrases"]
    assert "There are: game-talk-allow" in seen(await use(stage, "lexicon preset", name="../sample"))
    for name in [c["value"] for c in choices]:
        reply = await use(stage, "lexicon preset", name=name)
        await apply(stage, reply)
    assert "would alert" in seen(await use(stage, "lexicon test", text="watch your back"))
    assert "would not flag" in seen(await use(stage, "lexicon test", text="kill the dragon"))
