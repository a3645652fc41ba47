"""What Prometheus sees of scoring."""

import pytest
from prometheus_client import CollectorRegistry

from bot.metrics.scoring import ScoringReadings
from bot.scoring.breaker import Breaker
from moderation.errors import ModerationError
from tests.bot.scoring.support import scoring
from tests.bot.scoring.test_breaker import Clock
from tests.loopback.databricks.faults import Fault
from tests.loopback.databricks.serving import ServingPart
from tests.loopback.databricks.workspace import LoopbackWorkspace

pytestmark = pytest.mark.integration


async def test_texts_batches_errors_and_the_breaker() -> None:
    workspace, registry = LoopbackWorkspace(ServingPart()), CollectorRegistry()
    async with scoring(workspace, breaker=Breaker(Clock(), failures=1)) as scorer:
        ScoringReadings(registry, scorer)
        await scorer.score(["a", "b", "c"])
        workspace.faults.append(Fault("/invocations", status=403))
        for _ in range(2):
            with pytest.raises(ModerationError):
                await scorer.score(["spoken words"])

        def value(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"earshot_scoring_{name}", labels)

        assert (value("texts_total", outcome="scored"), value("batch_size_sum"), value("seconds_count")) == (3, 3, 1)
        assert (value("texts_total", outcome="scoring-failed"), value("texts_total", outcome="scorer-unavailable")) == (1, 1)
        assert (value("requests_total"), value("errors_total", kind="http-403"), value("retries_total")) == (2, 1, 0)
        assert (value("breaker", state="open"), value("breaker", state="closed"), value("breaker_opened_total")) == (1, 0, 1)
        assert (value("refused_total", reason="resting"), value("refused_total", reason="full"), value("waiting")) == (1, 0, 0)
