"""What a client would rather read: a page or JSON (RFC 9110, 12.5.1)."""

from functools import lru_cache

HTML, JSON = "text/html", "application/json"


@lru_cache(maxsize=64)  # clients send the same few with every request
def prefers_html(accept: str) -> bool:
    """Whether a page is wanted rather than JSON. `accept`: the header. JSON is for all who say nothing, or take both alike."""
    wanted, json = _weight(accept, HTML), _weight(accept, JSON)
    return wanted[0] > 0 and wanted > json


def _weight(accept: str, media: str) -> tuple[float, int]:
    """How much it is wanted (`q`), and how exactly it is named: the most exact range decides."""
    ranges = {media: 2, media.partition("/")[0] + "/*": 1, "*/*": 0}
    found = (0.0, -1)
    for part in accept.lower().split(","):
        name, _, parameters = part.partition(";")
        exactness = ranges.get(name.strip(), -1)
        if exactness > found[1]:
            found = (_q(parameters), exactness)
    return found


def _q(parameters: str) -> float:
    """1 where it is not given; 0, which is no, where it cannot be read."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
