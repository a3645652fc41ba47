"""`python -m bot lexicon`, as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.commands.lexicon import FORMATS
from moderation.lexicon_files import load
from moderation.lexicon_imports import FORMATS as READERS
from tests.bot.speech.audio import MODEL

pytestmark = pytest.mark.integration

LEXICONS = Path(__file__).parents[3] / "config/lexicon"
SAMPLE, STARTER = LEXICONS / "sample.json", LEXICONS / "starter.json"


def test_the_starter_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lexicon", "validate", str(STARTER)]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    entries = json.loads(STARTER.read_text())
    assert lines[0].split()[0] == "category"
    assert [line.split()[0] for line in lines[1:7]] == ["harassment", "hate", "insult", "self_harm", "threat", "all"]
    assert int(lines[6].split()[-1]) == sum(e["type"] != "allow" for e in entries)
    assert f"{len(entries)} entries:" in out
    assert "idiot" not in out


def test_a_bad_lexicon_exits_65_with_every_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.json"
    path.write_text('[\n{"term": "zz", "type": "word", "category": "c", "severity": 11},\n{"term": "zz"}\n]')
    assert main(["lexicon", "validate", str(path)]) == 65
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0].startswith(f"{path}: line 2: severity")
    assert lines[1].startswith(f"{path}: line 3: missing")
    assert "zz" not in captured.err


def test_a_missing_file_exits_65(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lexicon", "validate", str(tmp_path / "none.json")]) == 65
    assert capsys.readouterr().err == f"{tmp_path / 'none.json'}: the file cannot be read: No such file or directory\n"


def test_import_writes_a_lexicon_that_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "list.txt", tmp_path / "lexicon.json"
    source.write_text("dimwit\nbird brain\ndimwit\n42\n")
    assert main(["lexicon", "import", str(source), "--format", "text", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 that match the same words as another, 1 that are only digits" in captured.err
    assert [t.term for t in load(out)] == ["dimwit", "bird brain"]
    assert main(["lexicon", "validate", str(out)]) == 0
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_import_goes_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "list.csv"
    source.write_text("term,category,severity\ndimwit,insult,3\n")
    assert main(["lexicon", "import", str(source), "--format", "csv"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"term": "dimwit", "type": "word", "category": "insult", "severity": 3}]


def test_a_bad_list_leaves_the_old_lexicon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "list.csv", tmp_path / "lexicon.json"
    source.write_text("term,severity\ndimwit,12\n")
    out.write_text("[]")
    assert main(["lexicon", "import", str(source), "--format", "csv", "--out", str(out)]) == 65
    assert f"{source}: line 2: severity" in capsys.readouterr().err
    assert out.read_text() == "[]"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "list.txt"
    source.write_text("dimwit\n")
    assert main(["lexicon", "import", str(source), "--format", "text", "--out", str(tmp_path / "none" / "x.json")]) == 73
    assert "cannot be written" in capsys.readouterr().err


def test_the_command_offers_exactly_the_formats_there_are() -> None:
    assert set(FORMATS) == set(READERS)


def test_coverage_says_what_the_model_cannot_hear_by_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOSK_MODEL_PATH", str(MODEL))
    assert main(["lexicon", "coverage", str(STARTER)]) == 0
    out = capsys.readouterr().out
    assert "cannot hear 12 of 42 terms" in out
    assert "by category: insult 9" in out
    assert "9: 1" in out
    assert "line 6: insult, severity 3\n" in out
    assert "dimwit" not in out
    assert main(["lexicon", "coverage", "--words", str(STARTER)]) == 0
    assert "line 36: self_harm, severity 10: kill urself lacks urself; sounds like: kill herself, kill yourself" in capsys.readouterr().out


def test_coverage_of_a_lexicon_that_can_be_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOSK_MODEL_PATH", str(MODEL))
    path = tmp_path / "heard.json"
    path.write_text('[{"term": "idiot", "type": "word", "category": "insult", "severity": 4}, {"term": "kys", "type": "allow"}]')
    assert main(["lexicon", "coverage", str(path)]) == 0
    assert capsys.readouterr().out == "The speech model can hear all 1 terms.\n"


def test_coverage_needs_a_model_and_a_lexicon(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOSK_MODEL_PATH", str(tmp_path / "none"))
    assert main(["lexicon", "coverage", str(SAMPLE)]) == 78
    assert "there is no such folder" in capsys.readouterr().err
    path = tmp_path / "bad.json"
    path.write_text("{")
    assert main(["lexicon", "coverage", str(path)]) == 65
    assert "line 1" in capsys.readouterr().err


def test_coverage_reads_the_settings_file_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my.env").write_text(f"VOSK_MODEL_PATH={tmp_path / 'named'}\n")
    assert main(["lexicon", "coverage", str(SAMPLE), "--env-file", str(tmp_path / "my.env")]) == 78
    assert f"{tmp_path / 'named'}: there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", '[{"term": "kill the boss", "type": "allow"}]'])
def test_a_lexicon_that_can_flag_nothing_is_valid_with_a_warning(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.json"
    path.write_text(text)
    assert main(["lexicon", "validate", str(path)]) == 0
    assert "warning: it has no term that flags" in capsys.readouterr().err
    assert main(["lexicon", "validate", str(SAMPLE)]) == 0
    assert capsys.readouterr().err == ""


HELP = """
import sys
from bot.__main__ import main
try:
    main(["lexicon", "--help"])
except SystemExit as ended:
    print(ended.code, *(m for m in ("ahocorasick_rs", "moderation.lexicon_files", "moderation.lexicon_imports") if m in sys.modules))
"""


def test_help_loads_no_lexicon_code() -> None:
    result = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)  # noqa: S603 (our own code)
    assert result.stdout.splitlines()[-1] == "0"
