"""What a changed ledger is told by, and one whose end is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.errors import LedgerBroken, UserError
from conveyor.pipeline.pointing.verify_ledger import check_head, head_of, verify_ledger
from tests.support.pointers import TWO, A, B, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.promote(A)
    site.promote(B)
    return site


def test_a_good_one_gives_its_last_entry(site: Site) -> None:
    heads = {f"place {entry.number}": head_of(entry) for entry in site.ledger.written}
    assert verify_ledger(site.ledger, heads) == site.ledger.written[-1]


def test_an_empty_one_has_none(site: Site) -> None:
    site.ledger.written.clear()
    assert verify_ledger(site.ledger, {}) is None


def test_a_changed_entry_is_named(site: Site) -> None:
    site.ledger.written[1] = replace(site.ledger.written[1], actor="nobody")
    with pytest.raises(LedgerBroken, match="entry 2 of the ledger") as raised:
        verify_ledger(site.ledger, {})
    assert raised.value.cause == f"it says: tested of {TWO} to {A}, by nobody"
    assert raised.value.exit_code == 1


def test_an_end_that_is_gone_is_told_by_what_was_noted(site: Site) -> None:
    head = head_of(site.ledger.written.pop())
    assert verify_ledger(site.ledger, {}) == site.ledger.written[-1]
    with pytest.raises(LedgerBroken, match="ends with entry 3, and entry 4 is noted in the safe"):
        verify_ledger(site.ledger, {"the safe": head})


def test_a_chain_that_was_written_anew_is_told_by_what_was_noted(site: Site) -> None:
    other = head_of(replace(site.ledger.written[1], hash=64 * "a"))
    with pytest.raises(LedgerBroken, match="entry 2 of the ledger is another than the one that is noted in the safe"):
        verify_ledger(site.ledger, {"the safe": other})


@pytest.mark.parametrize("text", ["", "1", "1:abc", f"x:{64 * 'a'}", f"1:{64 * 'A'}", f"1:{64 * 'a'}\n2"])
def test_what_is_no_head(site: Site, text: str) -> None:
    with pytest.raises(UserError, match="no head"):
        check_head(text)
    with pytest.raises(LedgerBroken):
        verify_ledger(site.ledger, {"the safe": text})
    assert check_head(head_of(site.ledger.written[0]))
