"""How the serving endpoint fares, for `/ready` and for `/voice status`."""

import asyncio
import time
from collections.abc import Callable

from bot.api.health import ProbeResult, Status
from bot.scoring.breaker import State
from bot.scoring.databricks import DatabricksScorer
from moderation.errors import ModerationError

QUIET_SECONDS = 30.0
"""After a score that long ago, Databricks is asked how the endpoint fares."""
LOOK_SECONDS = 2.0
"""How long a look may take: less than `/ready` gives a probe."""
TRIAL = "hello"
"""What is scored to see whether an endpoint that failed works again."""


class ServingHealth:
    """Looks at what the live scores tell first, and asks only when they tell nothing."""

    def __init__(
        self, scorer: DatabricksScorer, *, meanwhile: str, essential: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """What depends on it.

        Args:
            scorer: asks the endpoint.
            meanwhile: a sentence on what goes on without it.
            essential: nothing goes on: without the endpoint the process does not do its work.
            clock: monotonic seconds.
        """
        self._scorer = scorer
        self._meanwhile = meanwhile
        self._essential = essential
        self._clock = clock
        self._asked: tuple[float, bool | None] | None = None

    async def probe(self) -> ProbeResult:
        """For `/ready`. An endpoint that failed is tried again here, so that it need not wait for somebody to speak."""
        scorer = self._scorer
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                if scorer.trouble and scorer.breaker.state is not State.OPEN:
                    await scorer.score([TRIAL])
                ready = None if scorer.trouble else await self._ready()
        except ModerationError as error:
            return self._result(scorer.trouble or str(error))
        except TimeoutError:
            return self._result(scorer.trouble or f"The serving endpoint {scorer.endpoint.name} does not answer.")
        if scorer.trouble:
            return self._result(scorer.trouble)
        if ready is False:
            return self._result(f"The serving endpoint {scorer.endpoint.name} is not ready: it is starting, stopped or being updated.")
        return ProbeResult(Status.OK, f"{scorer.stats.scored} texts scored since the start")

    def troubles(self) -> tuple[str, ...]:
        """What moderators should know now; empty when all is well. Asks nobody."""
        return (f"{self._scorer.trouble} {self._meanwhile}",) if self._scorer.trouble else ()

    async def _ready(self) -> bool | None:
        """What Databricks says, or, soon after a score, that it is."""
        now = self._clock()
        if now - self._scorer.succeeded_at < QUIET_SECONDS:
            return True
        if self._asked is None or now - self._asked[0] >= QUIET_SECONDS:
            self._asked = (now, await self._scorer.endpoint.ready())
        return self._asked[1]

    def _result(self, problem: str) -> ProbeResult:
        return ProbeResult(Status.DOWN if self._essential else Status.DEGRADED, f"{problem} {self._meanwhile}")
