"""What the serving commands have in common."""

import asyncio
import gc

import pytest

from bot.commands.serving import begun


@pytest.mark.unit
def test_what_was_loaded_is_not_looked_at_again_by_the_garbage_collector() -> None:
    started = asyncio.Event()
    try:
        begun(started)
        assert started.is_set()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.unfreeze()
