"""What to do when nobody knows whether a change was made: look; and where that does not tell, make it again, which must do no harm."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from moderation.errors import CatalogueUnavailable, OutcomeUnknown

T = TypeVar("T")


async def settle(change: Callable[[], Awaitable[T]], look: Callable[[], Awaitable[T | None]]) -> T:
    """What came of a change, told by its answer or by looking. It is made twice at most.

    Args:
        change: may be made twice; raises `OutcomeUnknown` when its answer is lost.
        look: what the change would have given, if it is seen to have been made; None while it is not.

    Raises `CatalogueUnavailable` when it was not made, `OutcomeUnknown` when that cannot be told.
    """
    try:
        return await change()
    except OutcomeUnknown as unknown:
        if (found := await _looked(look, unknown)) is not None:
            return found
    try:
        result = await change()
        found = await look()  # the first may have been made only now
    except OutcomeUnknown as unknown:
        if (found := await _looked(look, unknown)) is None:
            raise
        return found
    except CatalogueUnavailable as away:
        raise OutcomeUnknown(f"{away} Whether the change was made cannot be told; look again.") from None
    return result if found is None else found


async def _looked(look: Callable[[], Awaitable[T]], unknown: OutcomeUnknown) -> T:
    try:
        return await look()
    except CatalogueUnavailable:
        raise unknown from None
