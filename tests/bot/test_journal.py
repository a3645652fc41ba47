"""The journal's file: order, checksums, torn lines, bounds, who may read it, forgetting."""

import stat
from pathlib import Path

import pytest

from bot.journal import Journal, JournalFull
from moderation.errors import StorageError

pytestmark = pytest.mark.integration


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "journal.jsonl"


def drain(journal: Journal) -> list[bytes]:
    found = []
    while lines := journal.peek(2):
        for line in lines:
            found.append(line.data)
            journal.advance(line)
    return found


def test_entries_come_back_in_order_and_survive_the_process(path: Path) -> None:
    journal = Journal(path)
    journal.append([b"1", b"2"])
    journal.append([b"3"])
    again = Journal(path)
    assert again.waiting == 3
    assert drain(again) == [b"1", b"2", b"3"]
    assert again.waiting == 0


def test_only_the_owner_may_read_it_and_it_is_deleted_when_replayed(path: Path) -> None:
    journal = Journal(path)
    journal.append([b"speech"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    journal.clear()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("cut", range(2, 12))
def test_a_line_that_a_crash_cut_off_is_skipped_and_spoils_nothing(path: Path, cut: int) -> None:
    Journal(path).append([b"first", b"second"])
    path.write_bytes(path.read_bytes()[:-cut])
    journal = Journal(path)
    assert (journal.waiting, journal.damaged) == (1, 1)
    journal.append([b"third"])
    assert drain(Journal(path)) == [b"first", b"third"]


def test_a_line_whose_end_alone_is_missing_counts(path: Path) -> None:
    Journal(path).append([b"first", b"second"])
    path.write_bytes(path.read_bytes()[:-1])
    journal = Journal(path)
    journal.append([b"third"])
    assert (journal.waiting, journal.damaged) == (3, 0)
    assert drain(journal) == [b"first", b"second", b"third"]


def test_a_line_that_somebody_changed_is_skipped(path: Path) -> None:
    Journal(path).append([b"aaaa", b"bbbb", b"cccc"])
    path.write_bytes(path.read_bytes().replace(b"bbbb", b"bbxb"))
    journal = Journal(path)
    assert drain(journal) == [b"aaaa", b"cccc"]
    assert journal.damaged == 1


def test_a_full_journal_refuses_all_of_it_and_keeps_what_it_has(path: Path) -> None:
    journal = Journal(path, max_bytes=40)
    journal.append([b"x" * 20])
    with pytest.raises(JournalFull):
        journal.append([b"y", b"z" * 20])
    assert drain(journal) == [b"x" * 20]


def test_forgetting_rewrites_what_was_not_replayed_and_leaves_no_copy(path: Path) -> None:
    journal = Journal(path)
    journal.append([b"replayed", b"ada 1", b"ben 1", b"ada 2", b"ada and ben"])
    journal.advance(journal.peek(1)[0])
    changes = {b"ada 1": None, b"ada 2": None, b"ada and ben": b"ben"}
    assert journal.rewrite(lambda line: changes.get(line, line)) == 3
    assert b"ada" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    journal.append([b"later"])
    assert drain(journal) == [b"ben 1", b"ben", b"later"]


def test_forgetting_the_only_user_deletes_the_file(path: Path) -> None:
    journal = Journal(path)
    journal.append([b"ada"])
    assert journal.rewrite(lambda _: None) == 1
    assert not path.exists()
    assert journal.waiting == 0


def test_a_journal_that_cannot_be_read_says_what_to_do(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "something").touch()
    with pytest.raises(StorageError, match=r"move it away"):
        Journal(path)
