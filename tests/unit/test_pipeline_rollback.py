"""Where pointers go back to, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.errors import ConveyorError, PromotionRefused, UnknownName, UserError
from conveyor.model.promotion import LedgerEntry, MoveKind
from conveyor.pipeline.pointing.rollback import Rollback, Wish
from tests.support.pointers import ONE, TWO, A, B, C, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def back(
    site: Site, *targets: str, pointer: str = "tested", to: str | None = None, note: str = ""
) -> tuple[LedgerEntry, ...]:
    rollback = Rollback(
        ledger=site.ledger,
        store=site.store,
        repository=site.repository,
        pointers=site.pointers,
        targets=(ONE, TWO),
    )
    return rollback.run(Wish(pointer=pointer, targets=targets, to=to, actor="eve", note=note))


class TestByDefault:
    def test_all_targets_of_the_last_move_go_back_together(self, site: Site) -> None:
        site.promote(A, ONE)
        site.promote(C, TWO)
        (undone, _) = site.promote(B)
        entries = back(site, note="B is broken")

        assert site.at() == (A, C)
        assert len({entry.move for entry in entries}) == 1
        for entry in entries:
            assert (entry.kind, entry.actor, entry.note) == (MoveKind.ROLLED_BACK, "eve", "B is broken")
            assert entry.evidence == {"undone_moves": [undone.move]}

    def test_twice_is_there_and_back(self, site: Site) -> None:
        site.promote(A)
        site.promote(B)
        back(site)
        back(site)

        assert site.at() == (B, B)

    def test_where_the_last_moves_differ_the_target_must_be_named(self, site: Site) -> None:
        site.promote(A)
        site.promote(B)
        site.promote(C, TWO)
        with pytest.raises(UserError, match="different moves") as raised:
            back(site)

        assert [line.partition(":")[0] for line in raised.value.details] == [ONE, TWO]
        back(site, TWO)
        assert site.at() == (B, B)

    def test_the_named_target_takes_those_of_its_last_move_with_it(self, site: Site) -> None:
        site.promote(A)
        site.promote(B)
        back(site, TWO)

        assert site.at() == (A, A)

    def test_those_that_moved_on_alone_stay(self, site: Site) -> None:
        site.promote(A)
        site.promote(B)
        site.promote(C, TWO)
        back(site, ONE)

        assert site.at() == (A, C)

    def test_targets_that_are_named_go_back_by_moves_of_their_own(self, site: Site) -> None:
        site.promote(A)
        site.promote(B, ONE)
        site.promote(C, TWO)
        back(site, ONE, TWO)

        assert site.at() == (A, A)

    def test_other_pointers_of_the_move_stay(self, site: Site) -> None:
        site.promote(A, ONE, pointer="current")
        steps = [(ONE, "current", B), (ONE, "consistent", B)]
        site.pointers.move(MoveKind.PUBLISHED, steps, actor="conveyor")
        back(site, pointer="current")

        assert (site.at("current")[0], site.at("consistent")[0]) == (A, B)

    def test_there_must_be_a_before(self, site: Site) -> None:
        site.promote(A)
        with pytest.raises(PromotionRefused, match="was nowhere before"):
            back(site)
        site.repository.point(ONE, "restored", A)
        with pytest.raises(PromotionRefused, match="the ledger does not know"):
            back(site, pointer="restored")
        assert site.at() == (A, A)

    def test_what_was_collected_meanwhile_is_refused_and_nothing_moves(self, site: Site) -> None:
        site.promote(A)
        site.promote(B)
        site.remove(TWO, A)
        with pytest.raises(UnknownName, match=f"{TWO} has no repository"):
            back(site)

        assert site.at() == (B, B)
        assert len(site.ledger.written) == 4


class TestTo:
    def test_a_commit_on_all_targets_that_have_the_pointer(self, site: Site) -> None:
        site.promote(C)
        back(site, to=A)
        assert site.at() == (A, A)
        assert back(site, to=A) == ()

    def test_a_commit_by_the_beginning_of_its_sha_on_one_target(self, site: Site) -> None:
        site.promote(C)
        back(site, ONE, to=A[:7])
        assert site.at() == (A, C)

    def test_where_it_was_after_an_entry(self, site: Site) -> None:
        first, _ = site.promote(A)
        site.promote(B)
        site.promote(C)
        entries = back(site, to=str(first.number))

        assert site.at() == (A, A)
        assert entries[0].evidence == {"as_of_entry": first.number}

    def test_where_it_was_after_an_entry_on_one_target(self, site: Site) -> None:
        first, _ = site.promote(A)
        site.promote(B)
        back(site, TWO, to=str(first.number))
        assert site.at() == (B, A)

    @pytest.mark.parametrize(
        ("to", "error"),
        [("99", UnknownName), ("0", UnknownName), ("nothing", UnknownName), ("../" + "a" * 40, UnknownName)],
    )
    def test_what_there_is_not(self, site: Site, to: str, error: type[ConveyorError]) -> None:
        site.promote(A)
        with pytest.raises(error):
            back(site, to=to)
        assert site.at() == (A, A)

    def test_an_entry_of_another_pointer_or_target(self, site: Site) -> None:
        site.promote(A)
        (other,) = site.promote(B, ONE, pointer="current")
        for pointer, targets in (("tested", ()), ("current", (TWO,))):
            site.promote(C, TWO, pointer="current")
            with pytest.raises(UserError, match=f"entry {other.number} of the ledger says nothing"):
                back(site, *targets, pointer=pointer, to=str(other.number))


class TestNames:
    @pytest.mark.parametrize("pointer", ["pool", "ledger-head", "component", "ab", "..", "a/b", "", "-x", ".x"])
    def test_what_no_pointer_can_be_called(self, site: Site, pointer: str) -> None:
        with pytest.raises(UnknownName, match="cannot be a pointer's name"):
            back(site, pointer=pointer)

    def test_a_pointer_that_there_is_not(self, site: Site) -> None:
        site.promote(A, ONE)
        with pytest.raises(UnknownName, match="no target has a pointer 'testd'") as raised:
            back(site, pointer="testd")
        assert "tested" in raised.value.hint
        with pytest.raises(UnknownName, match=f"{TWO} has no pointer 'tested'"):
            back(site, TWO)
