"""Statements under way: each runs in a thread, may be held up on demand, and is waited for."""

import re
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from databricks.sql.thrift_api.TCLIService import ttypes
from databricks.sql.thrift_api.TCLIService.ttypes import TOperationState

from tests.loopback.databricks.refusals import Refused
from tests.loopback.databricks.results import Table

_NO_TABLE = Table([], [], [])


@dataclass(slots=True)
class Hold:
    """Holds up the next statement that fits, until `go` is set: a slow one, or with `ends` one that the warehouse gives up on."""

    pattern: str = ""
    """Regular expression, searched in the statement."""
    ends: int | None = None
    """A `TOperationState` to end in, unexecuted, such as `TIMEDOUT_STATE` or `CANCELED_STATE`; None executes it."""
    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def fits(self, statement: str) -> bool:
        return not self.begun.is_set() and re.search(self.pattern, statement) is not None


class Operation:
    """One statement; `state` and what comes of it are read after `done`, or before to see how it fares."""

    def __init__(self, statement: str, run: Callable[[], Table], holds: Sequence[Hold]) -> None:
        self.guid = uuid.uuid4().bytes
        self.state: int = TOperationState.RUNNING_STATE
        self.table = _NO_TABLE
        self.error: Refused | None = None
        self.done = threading.Event()
        self.fetched = 0
        self._cancelled = threading.Event()
        self._run = run
        self._hold = next((hold for hold in holds if hold.fits(statement)), None)
        threading.Thread(target=self._work, daemon=True, name="loopback statement").start()

    def cancel(self) -> None:
        """Before it runs it does not run; afterwards nothing changes."""
        self._cancelled.set()

    def _work(self) -> None:
        try:
            self.state = self._held() or self._execute()
        finally:
            self.done.set()

    def _held(self) -> int | None:
        if self._hold is None:
            return None
        self._hold.begun.set()
        while not self._hold.go.wait(0.005):
            if self._cancelled.is_set():
                return int(TOperationState.CANCELED_STATE)
        return self._hold.ends

    def _execute(self) -> int:
        try:
            self.table = self._run()
        except Refused as error:
            self.error = error
            return int(TOperationState.ERROR_STATE)
        return int(TOperationState.FINISHED_STATE)

    @property
    def handle(self) -> ttypes.TOperationHandle:
        identifier = ttypes.THandleIdentifier(guid=self.guid, secret=self.guid)
        return ttypes.TOperationHandle(identifier, ttypes.TOperationType.EXECUTE_STATEMENT, hasResultSet=True)
