"""`python -m bot replay`: recorded audio through the real pipeline and the real libvosk."""

import asyncio
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.commands.replay import replay
from bot.commands.replay_report import ConsoleReport, JsonReport, Report
from bot.sources.recordings import find_recordings
from bot.sources.replay import ReplaySource
from bot.speech.model import PROJECT
from bot.speech.vosk import VoskTranscriber
from tests.bot.speech.audio import CONVERSATION, MODEL, conversation, read_wav, silence
from tests.fakes import FakeDetector
from tests.wer import wer

pytestmark = pytest.mark.integration

BEN = CONVERSATION / "ben_02.wav"
ABUSIVE = {
    "ben": ["you are a stupid idiot", "i hate you go and kill yourself"],
    "dan": ["shut up you pathetic loser", "kill yourself you worthless clown"],
}
FIELDS = {
    "segment": {"speaker", "start", "end", "text", "final", "confidence", "words"},
    "flag": {"speaker", "start", "end", "detector", "category", "severity", "score", "confidence"},
    "alert": {"speaker", "start", "end", "severity", "categories", "reason"},
    "summary": {"speakers", "seconds", "segments", "flags", "alerts", "real_time_factor"},
}
LEXICON = [
    {"term": "idiot", "type": "word", "category": "harassment", "severity": 5},
    {"term": "loser", "type": "word", "category": "harassment", "severity": 4},
    {"term": "kill yourself", "type": "phrase", "category": "threat", "severity": 9},
]

Lines = list[dict[str, Any]]


async def run_session(report: Report, paths: Sequence[Path] = (CONVERSATION,)) -> None:
    transcriber = VoskTranscriber.load(MODEL, threads=2)
    detectors = [FakeDetector("idiot", 5, name="a"), FakeDetector("loser", 4, name="b"), FakeDetector("kill yourself", 9, name="c")]
    coverage, factor = await replay(ReplaySource(find_recordings(paths)), transcriber, detectors, report)
    report.summary(coverage, factor)
    await transcriber.aclose()


@pytest.fixture(scope="module")
def lines() -> Lines:
    """What `--json` prints for the bundled conversation."""
    written: list[str] = []
    asyncio.run(run_session(JsonReport(written.append)))
    return [json.loads(line) for line in written]


def of(lines: Lines, kind: str) -> Lines:
    return [line for line in lines if line["type"] == kind]


def check_fields(lines: Lines) -> None:
    for line in lines:
        assert set(line) == {"type"} | FIELDS[line["type"]], line
        for name, value in line.items():
            if isinstance(value, float):
                assert value == round(value, 3), name
        for word in line.get("words", ()):
            assert set(word) == {"word", "start", "end", "confidence"}


def test_lines_have_the_promised_fields(lines: Lines) -> None:
    check_fields(lines)
    assert {line["type"] for line in lines} == set(FIELDS)
    assert lines[-1]["type"] == "summary"


def test_every_line_is_heard_from_its_speaker_at_its_time(lines: Lines) -> None:
    said = conversation()
    heard = sorted(of(lines, "segment"), key=lambda s: s["start"])
    assert [s["speaker"] for s in heard] == [line.speaker for line in said]
    assert wer([line.text for line in said], [s["text"] for s in heard]) < 0.03
    for segment, line in zip(heard, said, strict=True):
        assert line.start <= segment["start"] < segment["end"] <= line.start + len(line.pcm) / 32_000 + 0.1
        assert [w["word"] for w in segment["words"]] == segment["text"].split()
        assert segment["final"] is True
        assert 0.3 < segment["confidence"] <= 1.0


def test_the_abusive_lines_alert_and_no_others(lines: Lines) -> None:
    """Two of them come from one speaker within the cooldown: live they share a card, here each is reported."""
    segments = {(s["speaker"], s["start"], s["end"]): s["text"] for s in of(lines, "segment")}
    alerted: dict[str, list[str]] = {}
    for alert in sorted(of(lines, "alert"), key=lambda a: a["start"]):
        alerted.setdefault(alert["speaker"], []).append(segments[alert["speaker"], alert["start"], alert["end"]])
    assert {s: [t[: len(ABUSIVE[s][n])] for n, t in enumerate(texts)] for s, texts in alerted.items()} == ABUSIVE
    assert {(a["severity"], *a["categories"]) for a in of(lines, "alert")} == {(5, "insult"), (4, "insult"), (9, "insult")}


def test_reasons_and_flags_never_quote_the_words(lines: Lines) -> None:
    for line in (*of(lines, "alert"), *of(lines, "flag")):
        assert not {"idiot", "loser", "kill", "yourself"} & set(json.dumps(line).replace('"', " ").split())
    assert all("severity" in a["reason"] and "confidence" in a["reason"] for a in of(lines, "alert"))


def test_the_summary_counts_the_lines(lines: Lines) -> None:
    (summary,) = of(lines, "summary")
    assert summary["speakers"] == 4
    assert summary["seconds"] == pytest.approx(sum(len(line.pcm) for line in conversation()) / 32_000, abs=0.01)
    for kind in ("segment", "flag", "alert"):
        assert summary[f"{kind}s"] == len(of(lines, kind))
    assert summary["real_time_factor"] > 0


async def test_partials_come_only_on_request() -> None:
    written: list[str] = []
    await run_session(JsonReport(written.append, partials=True), [BEN])
    lines = [json.loads(line) for line in written]
    check_fields(lines)
    partials = [s for s in of(lines, "segment") if not s["final"]]
    assert len(partials) >= 4
    assert all(s["words"] == [] and s["confidence"] == 0.0 for s in partials)
    assert of(lines, "summary")[0]["segments"] == 1


async def test_people_get_a_transcript_with_marks_alerts_and_a_table() -> None:
    out = io.StringIO()
    await run_session(ConsoleReport(Console(file=out, width=120)))
    text = out.getvalue()
    assert "ben you are a stupid «idiot» and everybody knows it" in text
    assert "ALERT ben insult, severity 5 of 10" in text
    assert "00:15.0 ben" in text
    assert "i hate you go and «kill yourself»" in text
    (row,) = [line for line in text.splitlines() if "ben" in line and "│" in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["ben", "11.4", "4", "2", "2"]
    assert "s of audio" in text


async def test_colour_marks_on_a_terminal() -> None:
    out = io.StringIO()
    await run_session(ConsoleReport(Console(file=out, width=120, force_terminal=True, color_system="standard")), [BEN])
    assert "\x1b[1;31midiot\x1b[0m" in out.getvalue()
    assert "«" not in out.getvalue()


def bot(*args: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, with the bundled model."""
    return subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-m", "bot", "replay", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=PROJECT,
        env=environment(env),
    )


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VOSK_", "DATABRICKS_", "EARSHOT_", "FLAG"))}
    return {**kept, "VOSK_MODEL_PATH": str(MODEL), **(more or {})}


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    path = tmp_path / "lexicon.json"
    path.write_text(json.dumps(LEXICON), encoding="utf-8")
    return path


def test_the_command_replays_a_folder(lexicon: Path) -> None:
    done = bot(CONVERSATION, "--json", "--lexicon", lexicon)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    check_fields(lines)
    assert lines[-1]["type"] == "summary"
    assert len(of(lines, "segment")) == 15
    assert sorted((a["speaker"], a["severity"], *a["categories"]) for a in of(lines, "alert")) == [
        ("ben", 5, "harassment"),
        ("ben", 9, "threat"),
        ("dan", 4, "harassment"),
        ("dan", 9, "threat"),
    ]


def test_the_command_takes_named_speakers(lexicon: Path) -> None:
    done = bot("--speaker", f"Zoë={BEN}", "--speaker", f"Max={CONVERSATION / 'dan_02.wav'}", "--lexicon", lexicon)
    assert done.returncode == 0, done.stderr
    assert "Zoë you are a stupid «idiot» and everybody knows it" in done.stdout
    assert "ALERT Max" in done.stdout
    assert "replay" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"), [(None, "there is no such file"), (b"", "is empty"), (b"garbage" * 999, "is no audio file that can be decoded")]
)
def test_what_cannot_be_decoded_exits_65_and_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    bad = tmp_path / "bad.wav"
    if content is not None:
        bad.write_bytes(content)
    done = bot(BEN, bad, "--json")
    assert done.returncode == 65
    assert f"{bad}: {message}" in done.stderr
    assert done.stdout == ""


def test_damage_in_the_middle_exits_65_after_what_could_be_heard(tmp_path: Path, lexicon: Path) -> None:
    flac = tmp_path / "ben.flac"
    write_flac(flac, read_wav(BEN) + silence(1.0) + read_wav(CONVERSATION / "dan_02.wav"))
    flac.write_bytes(flac.read_bytes()[: int(flac.stat().st_size * 0.6)])
    done = bot(flac, "--json", "--lexicon", lexicon)
    assert done.returncode == 65
    assert f"{flac}: " in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert of(lines, "segment")[0]["text"] == "you are a stupid idiot and everybody knows it"
    assert lines[-1]["type"] == "summary"


def write_flac(path: Path, pcm: bytes) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def test_nothing_to_replay_is_a_usage_error() -> None:
    done = bot()
    assert done.returncode == 64
    assert "name at least one audio file" in done.stderr
    assert bot("--speaker", "nobody").returncode == 2


def test_a_missing_model_and_bad_settings_exit_78(tmp_path: Path, lexicon: Path) -> None:
    done = bot(BEN, "--lexicon", lexicon, env={"VOSK_MODEL_PATH": str(tmp_path / "nowhere")})
    assert done.returncode == 78
    assert "nowhere: there is no such folder" in done.stderr
    assert "Traceback" not in done.stderr
    done = bot(BEN, env={"TOXICITY_THRESHOLD": "high", "API_PORT": "x"})
    assert done.returncode == 78
    assert "TOXICITY_THRESHOLD" in done.stderr
    assert "API_PORT" in done.stderr


def test_a_bad_lexicon_exits_65(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('[{"term": "x", "type": "word", "category": "c", "severity": 99}]', encoding="utf-8")
    done = bot(BEN, "--lexicon", tmp_path / "bad.json")
    assert done.returncode == 65, done.stderr
    assert "Traceback" not in done.stderr
    assert bot(BEN, "--lexicon", tmp_path / "missing.json").returncode == 65


def test_scores_count_in_its_alerts_as_in_calls(lexicon: Path, tmp_path: Path) -> None:
    """A card is edited once the scorer has answered; a line waits for it."""
    (tmp_path / "my.env").write_text("EARSHOT_EMBEDDED_SCORER=on\n")
    done = bot(BEN, "--json", "--lexicon", lexicon, "--env-file", tmp_path / "my.env")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {f["detector"] for f in of(lines, "flag")} == {"lexicon", "embedded"}
    (alert,) = of(lines, "alert")
    assert "found by embedded, lexicon" in alert["reason"]
    assert alert["severity"] == max(f["severity"] for f in of(lines, "flag"))
    assert {f["detector"] for f in of([json.loads(x) for x in bot(BEN, "--json", "--lexicon", lexicon).stdout.splitlines()], "flag")} == {
        "lexicon"
    }


async def test_the_work_of_a_session_at_the_pace_of_speech_is_not_its_waiting() -> None:
    source = ReplaySource(find_recordings([BEN]), realtime=True)
    transcriber = VoskTranscriber.load(MODEL, threads=2)
    waited, began = time.perf_counter(), time.process_time()
    _, factor = await replay(source, transcriber, [], JsonReport(lambda line: None))
    waited, worked = time.perf_counter() - waited, time.process_time() - began
    await transcriber.aclose()
    assert 0 < factor * source.played_seconds <= worked < waited


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly_with_what_was_heard(lexicon: Path, number: signal.Signals) -> None:
    child = subprocess.Popen(  # noqa: S603 (our own interpreter)
        [sys.executable, "-m", "bot", "replay", str(CONVERSATION), "--json", "--realtime", "--lexicon", str(lexicon)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env=environment(),
    )
    assert child.stdout is not None
    first = child.stdout.readline()
    child.send_signal(number)
    rest, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    lines = [json.loads(line) for line in (first, *rest.splitlines())]
    assert lines[-1]["type"] == "summary"
    assert lines[-1]["seconds"] < 20
    assert errors == ""


def test_a_reader_that_goes_away_ends_it_quietly(lexicon: Path) -> None:
    child = subprocess.Popen(  # noqa: S603 (our own interpreter)
        [sys.executable, "-m", "bot", "replay", str(CONVERSATION), "--json", "--realtime", "--lexicon", str(lexicon)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env=environment(),
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(timeout=60) == 0
    assert child.stderr.read() == ""
    child.stderr.close()


def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(lexicon: Path) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(  # noqa: S603 (our own interpreter)
        [sys.executable, "-m", "bot", "replay", str(CONVERSATION), "--json", "--lexicon", str(lexicon)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=PROJECT,
        env=environment({"TERM": "xterm"}),
    )
    os.close(theirs)
    out, _ = child.communicate(timeout=60)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert "━".encode() in shown
    assert json.loads(out.splitlines()[-1])["type"] == "summary"
    assert bot(CONVERSATION, "--json", "--lexicon", lexicon).stderr == ""
