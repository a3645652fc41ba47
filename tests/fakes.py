"""Stand-ins for the ports of the core: each is a few lines and implements the real Protocol."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from moderation.errors import DetectorError, RecognizerFailed, SourceError
from moderation.events import Event
from moderation.models import BYTES_PER_SECOND, Flag, Hypothesis, Score, Session, SourceItem, Span, Speaker, TranscriptSegment, Word
from moderation.products import Product


class FakeSink:
    """Remembers events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def emit(self, event: Event) -> None:
        self.events.append(event)


class FakeSource:
    """Plays a list of items, then ends, or fails."""

    def __init__(self, items: Iterable[SourceItem], failure: SourceError | None = None) -> None:
        self.items, self.failure, self.closed = list(items), failure, False

    async def frames(self) -> AsyncIterator[SourceItem]:
        for item in self.items:
            yield item
        if self.failure:
            raise self.failure

    def speaker(self, speaker_id: int) -> Speaker:
        return Speaker(speaker_id, f"speaker {speaker_id}")

    def spoken_seconds(self, speaker_id: int) -> float:
        return sum(i.seconds for i in self.items if hasattr(i, "seconds") and i.speaker_id == speaker_id)

    async def aclose(self) -> None:
        self.closed = True


class FakeRecognizer:
    """Hears one letter a frame, its first byte. Says its partial when it changes; `finish` makes the final. `!` fails."""

    def __init__(self) -> None:
        self.fed, self.start, self.heard, self.closed = 0.0, 0.0, "", False

    async def accept(self, pcm: bytes, *, partials: bool = True) -> Hypothesis | None:
        self.fed += len(pcm) / BYTES_PER_SECOND
        if pcm[:1] == b"!":
            raise RecognizerFailed("made to fail")
        if not pcm[0]:
            return None
        self.heard += chr(pcm[0])
        return Hypothesis(self.heard.strip(), final=False) if self.heard.strip() and partials else None

    async def finish(self) -> Hypothesis | None:
        text, self.heard = self.heard.strip(), ""
        start, self.start = self.start, self.fed
        words = tuple(Word(w, start, self.fed, 0.9) for w in text.split())
        return Hypothesis(text, final=True, words=words) if text else None

    async def aclose(self) -> None:
        self.closed = True


class FakeTranscriber:
    """Opens `FakeRecognizer`s and remembers them."""

    def __init__(self) -> None:
        self.opened: list[FakeRecognizer] = []

    async def open(self) -> FakeRecognizer:
        self.opened.append(FakeRecognizer())
        return self.opened[-1]

    def hears(self, word: str) -> bool:
        return bool(word)


class FakeDetector:
    """Flags one word; fails on the word `broken`, and in a way nobody foresaw on `crash`."""

    def __init__(self, word: str, severity: int, *, name: str = "fake", live: bool = True) -> None:
        self.word, self.severity, self.name, self.live = word, severity, name, live

    async def detect(self, session: Session, segment: TranscriptSegment) -> Sequence[Flag]:
        if "broken" in segment.text:
            raise DetectorError("made to fail")
        if "crash" in segment.text:
            raise KeyError(segment.text)
        at = segment.text.find(self.word)
        span = Span(at, at + len(self.word), segment.start, segment.end)
        confidence = segment.confidence if segment.final else 1.0
        return [] if at < 0 else [Flag(self.name, "insult", self.severity, self.severity / 10, confidence, span)]


class FakeProductStore:
    """Products in memory. `away` is raised by every call; while `open` is not set, calls wait."""

    name = "a fake store"

    def __init__(self, *products: Product) -> None:
        self.products = {product.key: product for product in products}
        self.away: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.calls: list[str] = []

    async def _call(self, what: str) -> None:
        self.calls.append(what)
        await self.open.wait()
        if self.away is not None:
            raise self.away

    async def prepare(self) -> None:
        await self._call("prepare")

    async def all(self) -> Sequence[Product]:
        found = [self.products[key] for key in sorted(self.products)]
        await self._call("all")
        return found

    async def get(self, key: str) -> Product | None:
        await self._call("get")
        return self.products.get(key)

    async def add(self, product: Product) -> bool:
        await self._call("add")
        return self.products.setdefault(product.key, product) is product

    async def set_price(self, key: str, price: Decimal) -> Product | None:
        await self._call("set_price")
        if key in self.products:
            self.products[key] = replace(self.products[key], price=price)
        return self.products.get(key)

    async def remove(self, key: str) -> bool:
        await self._call("remove")
        return self.products.pop(key, None) is not None

    async def aclose(self) -> None:
        self.calls.append("aclose")


class FakeScorer:
    """Scores 0.95 what holds its word, 0.05 the rest; fails while `error` is set."""

    def __init__(self, word: str = "", *, name: str = "fake-scorer", categories: Mapping[str, float] | None = None) -> None:
        self.word, self.name, self.categories = word, name, categories or {}
        self.error: DetectorError | None = None
        self.asked: list[str] = []

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        self.asked += texts
        if self.error is not None:
            raise self.error
        return [Score(0.95, "flag", self.categories) if self.word in text else Score(0.05, "ok") for text in texts]
