"""When to ask for DAVE's keys anew: the answer to a commit or welcome that davey refuses."""


class KeyRecovery:
    """Decides on refused MLS messages, so that asking (op 31 and a new key package, op 26) ends.

    Each key package voids the one before. A client that answers every refusal while an answer is under way therefore runs behind
    for ever: the commit of the epoch it has just lost is refused, it offers another package, the welcome for the first no longer
    fits, and so on. Hence one request at a time: until it is answered, commits are of a group that we are not in, and a welcome for
    an older package is let pass.
    """

    def __init__(self) -> None:
        self.asking = False
        """Whether an answer is awaited."""
        self.asked = 0
        """How often keys were asked for anew."""
        self.passed = 0
        """Refusals that needed no answer."""
        self._offered = 0

    def offered(self) -> None:
        """A key package was sent."""
        self._offered += 1

    def begin(self) -> None:
        """A new group is about to be made: what was offered before is void."""
        self.asking = False
        self._offered = 0

    def settled(self) -> None:
        """A commit or welcome was applied."""
        self.begin()

    def refused(self, *, welcome: bool) -> bool:
        """Whether to ask anew because this commit, or welcome, was refused."""
        if welcome and self._offered > 1:
            self._offered -= 1
        elif welcome or not self.asking:
            self.asking = True
            self.asked += 1
            return True
        self.passed += 1
        return False
