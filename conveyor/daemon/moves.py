"""Says when somebody moved a pointer by hand, as the commands and the API do."""

from __future__ import annotations

from conveyor.model.promotion import follows_builds
from conveyor.ports import Ledger

# Of more moves at once the older ones are not looked at: some of them will have been of this kind.
LOOKED_AT = 100


class Moves:
    """Looks at the ledger.

    Args:
        ledger: what moved pointers.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = _newest(ledger)

    def look(self) -> bool:
        """Whether a pointer that does not follow builds has moved since the last look."""
        newest = _newest(self._ledger)
        new = newest - self._seen
        if new <= 0:
            return False
        self._seen = newest
        found = self._ledger.entries(limit=min(new, LOOKED_AT))
        return new > LOOKED_AT or any(not follows_builds(entry.step.pointer) for entry in found)


def _newest(ledger: Ledger) -> int:
    """The number of the last entry; 0 for none."""
    return max((entry.number for entry in ledger.entries(limit=1)), default=0)
