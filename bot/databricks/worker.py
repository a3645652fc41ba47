"""A thread for blocking work: jobs one after another, results as futures."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Starts with its first job. A daemon, unlike an executor's threads: one that hangs does not keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Callable[[], T], Future[T]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether it ever had a job."""
        return self._thread is not None

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Do it after those before it. The caller sees to it that few wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    def stop(self) -> None:
        """End after the jobs that wait."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, future = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:  # goes to whoever waits
                future.set_exception(error)
            del task, job, future  # nothing is kept until the next job comes
