"""Whether the voice server's datagrams still reach us: questions that it answered before, and does not answer now.

Discord documents no liveness check of the UDP path. Two questions are known: a keepalive of 8 bytes, which some servers echo and some
do not (https://github.com/discordjs/discord.js/issues/9185), and IP discovery, documented for the handshake only. So an unanswered
question means something only in a session whose server has answered one after the handshake. Pure: time is an argument.
"""

LEARN_SECONDS = 2.0
"""After the handshake: late answers of its own have come by then, and the first question is asked."""
RESTING_SECONDS = 6.0
"""A silent path is asked after so long. The client's own keepalives go out more often: where they are echoed, this never happens."""
BRIEF_SECONDS = 1.0
"""And after so long where somebody seems to speak."""
QUESTIONS = 3
"""Unanswered in a row: the path is dead. Any datagram ends the row."""
ANSWER_SECONDS = 2.0
"""How long the first of them must have waited then."""


class PathWatch:
    """Of one voice session at a time."""

    def __init__(self) -> None:
        self._ready_at: float | None = None
        self._alive_at = self._asked_at = self._first_asked_at = 0.0
        self._asked = 0
        self._datagrams = self._answers = 0
        self._learning = True
        self.answering = False
        """The server has answered a question in this session."""

    @property
    def alive_at(self) -> float:
        """Monotonic second of the last datagram, as far as looks can tell."""
        return self._alive_at

    def ready(self, now: float) -> None:
        """The handshake is done."""
        self._ready_at = self._alive_at = now
        self._asked, self._learning, self.answering = 0, True, False

    def lost(self) -> None:
        """The session is over."""
        self._ready_at = None

    def saw(self, datagrams: int, answers: int, now: float) -> None:
        """Counters as they are now: all datagrams, and those that are answers."""
        if self._ready_at is not None and answers > self._answers and now - self._ready_at > LEARN_SECONDS:
            self.answering = True
        if datagrams > self._datagrams:
            self._alive_at, self._asked = now, 0
        self._datagrams, self._answers = datagrams, answers

    def asks(self, now: float, *, suspicious: bool) -> bool:
        """Whether to ask now; if so, it counts as asked. `suspicious`: somebody seems to speak, and no voice comes."""
        if self._ready_at is None:
            return False
        quiet = now - max(self._alive_at, self._asked_at)
        if self._learning:
            wanted = now - self._ready_at >= LEARN_SECONDS
        elif self.answering and self._asked:
            wanted = True
        else:
            wanted = quiet >= (BRIEF_SECONDS if suspicious and self.answering else RESTING_SECONDS)
        if wanted:
            self._learning, self._asked_at = False, now
            self._first_asked_at = self._first_asked_at if self._asked else now
            self._asked += 1
        return wanted

    def dead(self, now: float) -> bool:
        """Whether nothing reaches us any more."""
        waited = self._asked >= QUESTIONS and now - self._first_asked_at >= ANSWER_SECONDS
        return self._ready_at is not None and self.answering and waited
