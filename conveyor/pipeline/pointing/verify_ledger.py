"""Is the ledger what it was? The chain tells what was changed, heads that were noted elsewhere what is gone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from conveyor.errors import LedgerBroken, UserError
from conveyor.model.promotion import LedgerEntry
from conveyor.ports import Ledger

_HEAD = re.compile(r"([0-9]{1,9}):([0-9a-f]{64})")
_HINT = "restore the newest backup of the store whose ledger is whole; what has moved since is found at the next start"


def head_of(entry: LedgerEntry) -> str:
    """How an entry is noted elsewhere: `<number>:<hash>`."""
    return f"{entry.number}:{entry.hash}"


def check_head(text: str) -> str:
    """Returns the text, which was noted by a person.

    Raises:
        UserError: it is no `<number>:<hash>`.
    """
    if not _HEAD.fullmatch(text):
        raise UserError(
            f"{text!r} is no head of a ledger", hint="it is NUMBER:HASH, as 'conveyor ledger verify' prints it"
        )
    return text


def verify_ledger(ledger: Ledger, heads: Mapping[str, str]) -> LedgerEntry | None:
    """Check the whole ledger; returns its last entry, None where it has none.

    Args:
        ledger: the ledger.
        heads: what was noted elsewhere, by where.

    Raises:
        LedgerBroken: an entry was changed, inserted, removed or moved, or one that was noted is gone.
    """
    broken = ledger.broken()
    if broken is not None:
        raise LedgerBroken(
            f"entry {broken.number} of the ledger is not what was written, or not in its place",
            cause=f"it says: {broken.step.pointer} of {broken.step.target} to {broken.step.after}, by {broken.actor}",
            hint=_HINT,
        )
    newest = ledger.entries(limit=1)
    for where, head in heads.items():
        _compare(ledger, newest[0].number if newest else 0, where, head)
    return newest[0] if newest else None


def _compare(ledger: Ledger, length: int, where: str, head: str) -> None:
    found = _HEAD.fullmatch(head)
    if found is None:
        raise LedgerBroken(f"the head in {where} is none: {head[:80]!r}")
    number = int(found[1])
    if number > length:
        raise LedgerBroken(
            f"the ledger ends with entry {length}, and entry {number} is noted in {where}",
            cause="the end of the ledger was removed, or the store was restored from an older backup",
            hint=_HINT,
        )
    if number < 1 or ledger.entry(number).hash != found[2]:
        raise LedgerBroken(
            f"entry {number} of the ledger is another than the one that is noted in {where}",
            cause="the ledger was written anew from there on, or from before",
            hint=_HINT,
        )
