"""Hands every event to every subscriber. A subscriber that fails is logged and the others still get it."""

import logging

from moderation.errors import ModerationError
from moderation.events import Event
from moderation.ports import Sink

log = logging.getLogger(__name__)


class Broadcast:
    """The one sink the pipeline knows; whoever wants to react subscribes."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = list(sinks)
        self.failures = 0
        """Events a subscriber failed on."""

    def subscribe(self, sink: Sink) -> None:
        """From the next event on."""
        self._sinks.append(sink)

    def unsubscribe(self, sink: Sink) -> None:
        """No more events; fine if it was not subscribed."""
        if sink in self._sinks:
            self._sinks.remove(sink)

    async def emit(self, event: Event) -> None:
        """One after another, in the order of subscription."""
        for sink in tuple(self._sinks):
            try:
                await sink.emit(event)
            except Exception as error:  # a reaction must never end the call it reacts to
                self.failures += 1
                code = error.code if isinstance(error, ModerationError) else type(error).__name__
                log.error("a reaction to an event failed", extra={"sink": type(sink).__name__, "event": type(event).__name__, "code": code})
