"""The lexicons that come along on the demo's conversation, and on 300 innocent sentences of game chat, traps included."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from moderation.detectors.lexicon import LexiconDetector
from moderation.detectors.matching import Lexicon
from moderation.lexicon_files import load
from moderation.models import Level, TranscriptSegment
from moderation.policy import judge
from moderation.settings import GuildSettings
from moderation.terms import Term, TermType
from tests.moderation.detectors.sessions import SESSION

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
SAMPLE_TERMS, STARTER_TERMS = (load(ROOT / f"config/lexicon/{name}.json") for name in ("sample", "starter"))
SAMPLE, STARTER = Lexicon(SAMPLE_TERMS), Lexicon(STARTER_TERMS)
BENIGN = Path(__file__).with_name("benign.txt").read_text(encoding="utf-8").splitlines()
with (ROOT / "tests/speech/conversation/conversation.tsv").open(encoding="utf-8") as file:
    CONVERSATION = [row["transcript"] for row in csv.DictReader(file, delimiter="\t")]
ABUSIVE = [
    "you are a stupid idiot and everybody knows it",
    "shut up you pathetic loser",
    "i hate you go and kill yourself",
    "kill yourself you worthless clown nobody wants you here",
]
HARMLESS = [
    "hello everyone welcome back to the game",
    "good evening are we ready to start",
    "i am ready let's play the first round",
    "push the left side and cover me",
    "nice shot that was a great round",
    "please stop that is not nice",
    "i want to order a blue widget how much is the price",
    "kill the boss and then take the door on the right",
    "sorry i was angry that was a bad joke",
    "my ticket number is four seven two nine",
    "thank you for the help see you tomorrow",
]


def test_there_are_enough_innocent_sentences() -> None:
    assert len(BENIGN) >= 300


@pytest.mark.parametrize("sentence", BENIGN)
def test_innocent_sentences_do_not_flag(sentence: str) -> None:
    assert STARTER.match(sentence) == ()
    assert SAMPLE.match(sentence) == ()


def test_the_sample_holds_placeholders_and_mild_insults_only() -> None:
    flagging = [t for t in SAMPLE_TERMS if t.type is not TermType.ALLOW]
    assert {t.category for t in flagging} == {"threat", "insult", "harassment"}
    assert [t.term for t in flagging if t.category == "threat"] == ["TERM", "TERM PLACEHOLDER PHRASE"]
    assert max(t.severity for t in flagging) < GuildSettings(1).early_severity


def test_the_starter_is_the_sample_and_the_severe_phrases() -> None:
    def terms(*lists: list[Term]) -> set[Term]:
        return {replace(term, line=0) for each in lists for term in each}

    severe = load(ROOT / "config/lexicon/presets/severe-phrases.json")
    threats = load(ROOT / "config/lexicon/presets/threat-phrases.json")
    more = terms(STARTER_TERMS) - terms(SAMPLE_TERMS, severe)
    assert terms(SAMPLE_TERMS, severe) < terms(STARTER_TERMS)
    assert more < terms(threats)


@pytest.mark.parametrize("lexicon", [SAMPLE, STARTER], ids=["sample", "starter"])
@pytest.mark.parametrize(("line", "level"), [*((line, Level.ALERT) for line in ABUSIVE), *((line, Level.NONE) for line in HARMLESS)])
async def test_the_abusive_lines_of_the_conversation_alert_and_the_others_do_not(line: str, level: Level, lexicon: Lexicon) -> None:
    assert line in CONVERSATION
    flags = await LexiconDetector(lexicon).detect(SESSION, TranscriptSegment(SESSION.id, 1, 0, 0.0, 3.0, line, final=True))
    assert judge(flags, {}, GuildSettings(1)).level is level


def test_the_worst_line_alerts_early() -> None:
    assert max(m.severity for m in STARTER.match("i hate you go and kill yourself")) >= GuildSettings(1).early_severity


@pytest.mark.parametrize(
    ("text", "categories"),
    [
        ("TERM should trigger", ["threat"]),
        ("TERMINAL output", []),
        ("a TERM PLACEHOLDER PHRASE here", ["threat"]),
        ("in the long term", []),
        ("i will kill you in the game", []),
        ("i will kill you", ["threat"]),
    ],
)
def test_placeholders_and_allow_terms(text: str, categories: list[str]) -> None:
    assert [m.category for m in STARTER.match(text)] == categories
    assert [m.category for m in SAMPLE.match(text)] == (categories if "TERM" in text else [])
