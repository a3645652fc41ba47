"""What clients stream and listen to."""

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bot.api.feed import Feed
from bot.api.streams import Streams
from bot.metrics.readings import counter, gauge


class HttpReadings(Collector):
    """Read where it is counted."""

    def __init__(self, streams: Streams, feed: Feed) -> None:
        self._streams = streams
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield gauge("earshot_http_streams", "Audio streams that clients have open.", self._streams.open_count)
        yield counter("earshot_http_streams_refused", "Streams refused because all places were taken.", self._streams.refused)
        yield gauge("earshot_feed_listeners", "Listeners to the sessions' events.", len(self._feed))
        yield counter("earshot_feed_refused", "Listeners refused because there were too many.", self._feed.refused)
        yield counter("earshot_feed_lost", "Messages that listeners were too slow for.", self._feed.lost)
        recent = self._feed.recent
        yield gauge("earshot_feed_recent", "Sentences and alerts held for whoever opens the live page in mid-call.", len(recent))
        yield counter("earshot_feed_recent_dropped", "Those that made room for newer ones.", recent.dropped)
