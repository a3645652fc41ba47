"""Every error the core and its adapters raise on purpose.

    ModerationError(code, message)
    ├── SettingsError            settings-invalid
    ├── SourceError              source-failed
    │   ├── VoiceDisconnected    voice-disconnected
    │   │   ├── VoiceRemoved     voice-removed         (somebody's decision: nobody tries to come back)
    │   │   └── AfkChannel       afk-channel           (somebody moved the bot to where nobody speaks)
    │   ├── VoiceUnavailable     voice-unavailable     (no permission, channel full, no such channel)
    │   ├── UndecodableAudio     undecodable-audio
    │   └── OpusMissing          opus-missing          (`bot.voice.opus`)
    ├── SpeechError              speech-failed
    │   ├── ModelMissing         model-missing
    │   └── RecognizerFailed     recognizer-failed
    ├── DetectorError            detector-failed
    │   ├── LexiconInvalid       lexicon-invalid       (carries line numbers)
    │   └── ScoringFailed        scoring-failed        (the scorer refused; asking again will not help)
    │       ├── ScoresUnreadable     scores-unreadable     (an answer that does not fit)
    │       ├── ScorerUnavailable    scorer-unavailable    (away, overloaded, or limiting requests)
    │       └── ScoringTimeout       scoring-timeout       (no answer within the deadline)
    ├── StorageError             storage-failed        (retryable?)
    ├── DeliveryFailed           delivery-failed       (retryable?)
    ├── ConsentRequired          consent-required      (the channel could not be told)
    ├── NotAllowed               not-allowed
    │   └── JoinStopped          join-stopped          (a join under way, by `/voice leave`)
    ├── InvalidInput             invalid-input
    │   └── InvalidProduct       invalid-product       (a name or a price that cannot be)
    ├── AlreadyExists            already-exists
    ├── CatalogueUnavailable     catalogue-unavailable (retryable: nothing was changed)
    ├── OutcomeUnknown           outcome-unknown       (a change whose answer never came)
    ├── TooMany                  too-many              (of something bounded, at the same time)
    ├── SignInUnavailable        sign-in-unavailable   (retryable: a service gave the bot no token)
    └── NotFound                 not-found

Codes are stable. Messages are for people: what was wrong, where, and what to do; they never quote speech, names or tokens.
A vendor's exception is wrapped once, at the adapter's edge; where it could quote speech, `from None`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ModerationError(Exception):
    """Base of all. `code` is stable and kebab-case; `str(error)` is a sentence for people."""

    code = "moderation-failed"
    retryable = False
    """Whether the same call may succeed later."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class SettingsError(ModerationError):
    """Settings that cannot be used; `problems` lists all of them, each with what to do."""

    code = "settings-invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class SourceError(ModerationError):
    """Audio could not be had."""

    code = "source-failed"


class VoiceDisconnected(SourceError):
    """The voice connection ended and did not come back."""

    code = "voice-disconnected"


class VoiceRemoved(VoiceDisconnected):
    """Somebody disconnected the bot from the voice channel, or the channel is gone."""

    code = "voice-removed"


class AfkChannel(VoiceDisconnected):
    """The bot was moved to the server's AFK channel: it does not stay where nobody can speak."""

    code = "afk-channel"


class VoiceUnavailable(SourceError):
    """A voice channel cannot be joined."""

    code = "voice-unavailable"


class UndecodableAudio(SourceError):
    """A file or stream is not audio that can be decoded."""

    code = "undecodable-audio"


class SpeechError(ModerationError):
    """Speech recognition failed."""

    code = "speech-failed"


class ModelMissing(SpeechError):
    """The speech model is missing, truncated or something else; the message names what is missing."""

    code = "model-missing"


class RecognizerFailed(SpeechError):
    """One recogniser failed; the track opens a new one."""

    code = "recognizer-failed"


class DetectorError(ModerationError):
    """A detector failed on a segment."""

    code = "detector-failed"


@dataclass(frozen=True, slots=True)
class LexiconProblem:
    """One thing wrong in a lexicon file."""

    line: int
    """1-based line number; 0 where the whole file is meant."""
    message: str
    """What is wrong and what to do; never the term."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class LexiconInvalid(DetectorError):
    """A lexicon that cannot be used; the one in force stays."""

    code = "lexicon-invalid"

    def __init__(self, problems: Sequence[LexiconProblem], where: str = "") -> None:
        """`where`: the file, where the reader could not know it."""
        super().__init__("\n".join(f"{where}: {p}" if where else str(p) for p in problems))
        self.problems = tuple(problems)


class ScoringFailed(DetectorError):
    """A scorer refused what it was asked, and would again: credentials, name or shape of the request are wrong."""

    code = "scoring-failed"


class ScoresUnreadable(ScoringFailed):
    """A scorer's answer does not say what it should, or not where it should."""

    code = "scores-unreadable"


class ScorerUnavailable(ScoringFailed):
    """A scorer is away, overloaded, or limits requests. `retry_after`: seconds after which it may be asked again; 0.0 unknown."""

    code = "scorer-unavailable"
    retryable = True

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ScoringTimeout(ScoringFailed):
    """No score within the deadline."""

    code = "scoring-timeout"
    retryable = True


class StorageError(ModerationError):
    """The database did not do it. `retryable`: the same call may succeed later."""

    code = "storage-failed"

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class DeliveryFailed(ModerationError):
    """An alert did not reach the moderators. `retryable`: the same call may succeed later, after `retry_after` seconds at the earliest."""

    code = "delivery-failed"

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class ConsentRequired(ModerationError):
    """The members could not be told that the bot listens, so it does not."""

    code = "consent-required"


class NotAllowed(ModerationError):
    """The caller, or the bot, lacks a permission; the message names it."""

    code = "not-allowed"


class JoinStopped(NotAllowed):
    """Somebody sent the bot away while it joined."""

    code = "join-stopped"


class InvalidInput(ModerationError):
    """What was asked cannot be done as it was asked; the message says what would do."""

    code = "invalid-input"


class InvalidProduct(InvalidInput):
    """A name or a price that no product can have; the message says what would do."""

    code = "invalid-product"


class AlreadyExists(ModerationError):
    """There is one of that name."""

    code = "already-exists"


class CatalogueUnavailable(ModerationError):
    """The product catalogue cannot be asked now, and nothing was changed. The same call may succeed later."""

    code = "catalogue-unavailable"
    retryable = True


class OutcomeUnknown(ModerationError):
    """A change was sent and no answer came: whether it was made can only be seen by looking again."""

    code = "outcome-unknown"


class SignInUnavailable(ModerationError):
    """A service that the bot signs in to gave it no token, for now."""

    code = "sign-in-unavailable"
    retryable = True


class TooMany(ModerationError):
    """All places are taken; the same call may succeed later."""

    code = "too-many"
    retryable = True


class NotFound(ModerationError):
    """What was asked for is not there."""

    code = "not-found"


def sentences(error: BaseException) -> list[str]:
    """What an error says to people, a sentence each; of a group, what all in it say. Empty for errors nobody foresaw."""
    if isinstance(error, ModerationError):
        return str(error).splitlines()
    if isinstance(error, BaseExceptionGroup):
        found = [sentences(e) for e in error.exceptions]
        return [s for each in found for s in each] if all(found) else []
    return []
