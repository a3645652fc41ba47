"""Why a session can end, and what follows: who decided it, whether the bot comes back, and how soon."""

LONGEST_PAUSE = 60.0
"""Seconds between two attempts to return, at most."""

DECIDED = {
    "voice-removed": (
        "Somebody disconnected me, or the channel is gone. `/voice join` brings me back. If my notice still stands in the channel's "
        "status, please clear it: from outside I may not, unless my role has Manage Channels."
    ),
    "consent-required": "I could not tell the members that I listen, so I do not. Grant me Set Voice Channel Status or Send Messages.",
    "afk-channel": "Somebody moved me to the AFK channel, where nobody speaks. `/voice join` brings me back.",
    "alone": "Nobody but bots had been there for a while. `/voice join` brings me back.",
}
"""Ends that are somebody's decision, or a rule's, and what moderators are told of them."""
SWITCHED = "switched"
"""It gave its seat to a more important channel."""
EMPTIED = "emptied"
"""Nobody was left in a watched channel: the bot comes back by itself when somebody is."""
SILENT = frozenset({"stopped", "shutdown", SWITCHED, EMPTIED})
"""Ends that moderators need not be told of: whoever caused them knows, or nothing is missed."""


def comes_back(reason: str) -> bool:
    """Whether to join again after an end with that reason: nobody decided it."""
    return reason not in DECIDED and reason not in SILENT


def pause_before(attempt: int) -> float:
    """Seconds before the attempt of that number, from 0: 1, 2, 4 … 60."""
    return min(2.0 ** min(attempt, 16), LONGEST_PAUSE)
