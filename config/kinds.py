"""The choices that settings offer."""

from enum import StrEnum


class FlaggingProvider(StrEnum):
    """What finds abuse in a transcript."""

    LEXICON = "lexicon"
    DATABRICKS = "databricks"
    BOTH = "lexicon+databricks"

    @property
    def uses_databricks(self) -> bool:
        """Whether it asks the serving endpoint."""
        return self is not FlaggingProvider.LEXICON

    @property
    def uses_lexicon(self) -> bool:
        """Whether it matches the terms of the lexicon."""
        return self is not FlaggingProvider.DATABRICKS


class EmbeddedUse(StrEnum):
    """What the toxicity scorer that comes along does in calls."""

    OFF = "off"
    STAND_IN = "stand-in"
    """Answers while the serving endpoint does not."""
    ON = "on"
    """Scores every sentence itself."""


class ScoreType(StrEnum):
    """How an endpoint's score is to be read."""

    PROBABILITY = "probability_0_1"
    PERCENT = "percent_0_100"
    LOGIT = "logit"
    NONE = "none"
    """It gives labels only."""


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least severe messages that are logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class WorkloadSize(StrEnum):
    """How much an endpoint computes at once (Databricks, served entity `workload_size`)."""

    SMALL = "Small"
    MEDIUM = "Medium"
    LARGE = "Large"
