"""The data folder belongs to one process: two would write into one journal, and each would lose what the other replays."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moderation.errors import StorageError

log = logging.getLogger(__name__)

LOCK_NAME = "earshot.lock"


@contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Hold the folder until the end; the kernel lets go of it when the process dies, however it does.

    Raises `StorageError` when another process holds it. Where the disk allows no lock, there is only a warning.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / LOCK_NAME).open("ab")
    except OSError as error:
        log.warning("the data folder cannot be locked", extra={"error": error.errno})
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"Another Earshot process works in {folder}. Stop it, or set EARSHOT_DATA_DIR to another folder.") from None
        except OSError as error:
            log.warning("the data folder cannot be locked", extra={"error": error.errno})
        yield
