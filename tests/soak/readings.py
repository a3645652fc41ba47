"""What an application holds, counted: memory, and everything that could grow without anybody noticing."""

import asyncio
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from bot.app import Application

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Reading:
    """At one moment."""

    rss: float
    """Resident memory in MB (1,000,000 bytes), from Linux's /proc."""
    database: float
    """Size of the database and its log in MB; it grows by what is said, until retention."""
    sessions: int
    recognisers: int
    """Held by speakers, or kept for the next ones."""
    rings: int
    """Speakers of whom audio is held for clips."""
    ring_bytes: int
    rows_waiting: int
    alerts_waiting: int
    decoding: int
    """Pieces of audio that wait for a decoding thread or are on one."""
    remembered_settings: int
    """Guilds whose settings are remembered."""
    compiled_terms: int
    """Guilds whose terms are kept compiled."""
    tasks: int
    threads: int
    descriptors: int
    """Open file descriptors."""

    @classmethod
    def of(cls, app: Application, folder: Path) -> "Reading":
        """Now. `folder`: where the application keeps its files."""
        speech = app.core.transcriber.stats()
        return cls(
            rss=resident() / 1e6,
            database=sum(path.stat().st_size for path in folder.glob("earshot.db*")) / 1e6,
            sessions=len(app.services.sessions),
            recognisers=speech.open + speech.idle,
            rings=app.evidence.stats.speakers,
            ring_bytes=app.evidence.stats.bytes,
            rows_waiting=app.recorder.waiting,
            alerts_waiting=app.dispatcher.waiting,
            decoding=speech.queued,
            remembered_settings=len(app.remembered),
            compiled_terms=app.core.lexicon.compiled,
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
            descriptors=len(os.listdir("/proc/self/fd")),
        )


def resident() -> int:
    """Bytes of memory that the process has in RAM."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
