"""What can be used and is likely not meant: for a warning, not a refusal, since the environment belongs to others, too."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from config import reference
from config.checks import MIN_TOKEN
from config.conflicts import is_loopback
from config.loading import OWN_PREFIXES, present

if TYPE_CHECKING:
    from config.settings import Settings

ALIKE = 0.87
"""From this ratio on two names count as one misspelt: a letter too many, too few or in the wrong place does, another word does not."""
OF_OTHERS = frozenset({"DATABASE_USER", "DATABASE_URLS", "SHARD_ID"})
"""Names that many programs know, and that are as near to one of ours as a misspelt one."""
SHORT_WORD = 4
"""A first word of so few letters (API, LOG, FLAG) is somebody else's when it differs: APP_PORT is no misspelt API_PORT."""


def doubts(settings: "Settings", environment: Mapping[str, str]) -> list[str]:
    """A sentence each, `NAME: what looks wrong; what to do`."""
    return [*near_misses(present(environment), reference.known(type(settings))), *_weak_tokens(settings)]


def near_misses(given: Collection[str], known: Collection[str]) -> Iterator[str]:
    """Names that are nearly a setting's, where that setting itself is not given. Names that begin as ours do are refused elsewhere."""
    for name in sorted(given):
        if name in known or name in OF_OTHERS or name.startswith(OWN_PREFIXES):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)
        if close and close[0] not in given and not _of_others(name, close[0]):
            yield f"{name}: there is no such setting; did you mean {close[0]}? If it is another program's, let it be"


def _of_others(name: str, ours: str) -> bool:
    """Whether the difference is a word: PG_DATABASE_URL, LOG_LEVEL_SQL, APP_HOST, LOGLEVEL."""
    first, its_first = ours.partition("_")[0], name.partition("_")[0]
    another_first = len(first) <= SHORT_WORD and first != its_first
    return another_first or name.endswith(f"_{ours}") or name.startswith(f"{ours}_")


def _weak_tokens(settings: "Settings") -> Iterator[str]:
    """Those that guards an address of this machine alone; for others `conflicts` refuses them."""
    for name, token in (("API_TOKEN", settings.api_token), ("API_READ_TOKEN", settings.api_read_token)):
        if token is not None and len(token.get_secret_value()) < MIN_TOKEN and is_loopback(settings.api_host):
            yield f"{name}: it has fewer than {MIN_TOKEN} characters, so it can be guessed; make one with `openssl rand -hex 32`"
