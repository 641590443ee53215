"""Pointers move together, stand in the ledger, and come back where one of them cannot move."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from conveyor.errors import ConveyorError, DiskFull, UnknownName
from conveyor.model.promotion import MoveKind, Step
from tests.fakes.clock import NOON
from tests.support.pointers import ONE, TWO, A, B, C, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def refuse(*_: object, **_named: object) -> None:
    raise DiskFull("no room")


class TestMove:
    def test_it_moves_all_and_tells_all(self, site: Site) -> None:
        site.promote(A, ONE)
        entries = site.pointers.move(
            MoveKind.PROMOTED,
            [(TWO, "tested", B), (ONE, "tested", B)],
            actor="ada",
            note="Good.",
            evidence={"votes": ["smoke"]},
            keep=True,
        )

        assert site.at() == (B, B)
        assert entries == tuple(site.ledger.written[1:])
        assert [entry.step for entry in entries] == [
            Step(target=TWO, pointer="tested", before=None, after=B),
            Step(target=ONE, pointer="tested", before=A, after=B),
        ]
        for entry in entries:
            assert (entry.kind, entry.actor, entry.note) == (MoveKind.PROMOTED, "ada", "Good.")
            assert (entry.evidence, entry.keep) == ({"votes": ["smoke"]}, True)
            assert entry.at > NOON
        assert site.ledger.pending() == ()

    def test_what_is_there_already_is_no_entry(self, site: Site) -> None:
        site.promote(A, ONE)
        assert [entry.step.target for entry in site.pointers.move(MoveKind.PROMOTED, [], actor="ada")] == []
        site.promote(A, ONE, TWO)
        site.promote(A, ONE, TWO)

        assert [entry.step.target for entry in site.ledger.written] == [ONE, TWO]

    @pytest.mark.parametrize("pointer", ["pool", "ledger-head", "component", "ab", "..", "a/b", ".x", "-x", ""])
    def test_a_name_that_cannot_be_moves_nothing(self, site: Site, pointer: str) -> None:
        with pytest.raises(UnknownName, match="cannot be a pointer's name"):
            site.pointers.move(MoveKind.PROMOTED, [(ONE, "tested", A), (TWO, pointer, A)], actor="ada")
        assert site.at() == (None, None)
        assert site.ledger.written == []
        assert site.ledger.pending() == ()

    def test_a_snapshot_that_is_missing_on_one_target_moves_nothing(self, site: Site) -> None:
        site.remove(TWO, B)
        site.promote(A)
        with pytest.raises(UnknownName, match=f"{TWO} has no repository of commit"):
            site.promote(B)
        assert site.at() == (A, A)
        assert len(site.ledger.written) == 2

    def test_the_head_of_the_ledger_is_published(self, site: Site) -> None:
        site.promote(A, ONE)
        site.promote(A)
        first, second = site.ledger.written

        assert site.repository.heads == {ONE: f"1:{first.hash}", TWO: f"2:{second.hash}"}

    def test_that_the_head_cannot_be_published_is_no_failure(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(site.repository, "set_ledger_head", refuse)
        site.promote(A)
        assert site.at() == (A, A)

    def test_moves_of_the_same_targets_in_any_order_do_not_wait_for_each_other(self, site: Site) -> None:
        def work(targets: tuple[str, str], commits: list[str]) -> None:
            for commit_id in commits:
                site.promote(commit_id, *targets)

        threads = [
            threading.Thread(target=work, args=(targets, [A, B, C] * 5))
            for targets in ((ONE, TWO), (TWO, ONE), (TWO, ONE))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert site.at() == (C, C)
        assert site.ledger.broken() is None
        assert_consecutive(site)


def assert_consecutive(site: Site) -> None:
    """Each entry of a pointer begins where the one before ended."""
    at: dict[tuple[str, str], str] = {}
    for entry in site.ledger.written:
        step = entry.step
        assert step.before == at.get((step.target, step.pointer))
        at[step.target, step.pointer] = step.after


def failing(site: Site, monkeypatch: pytest.MonkeyPatch, target: str, *, times: int = 1) -> None:
    """Let so many moves of a target's pointers fail."""
    point, left = site.repository.point, [None] * times

    def sometimes(of: str, pointer: str, commit_id: str) -> None:
        if of == target and left:
            left.pop()
            raise DiskFull("no room")
        point(of, pointer, commit_id)

    monkeypatch.setattr(site.repository, "point", sometimes)


class TestErrors:
    def test_what_was_moved_comes_back_where_one_cannot_be(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        site.promote(A, ONE)
        failing(site, monkeypatch, TWO)
        with pytest.raises(DiskFull):
            site.promote(B)

        assert site.at() == (A, None)
        assert site.ledger.pending() == ()
        assert len(site.ledger.written) == 1

    def test_a_pointer_that_was_not_there_before_is_removed_again(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing(site, monkeypatch, TWO)
        with pytest.raises(DiskFull):
            site.promote(B)
        assert site.at() == (None, None)

    def test_what_cannot_be_taken_back_either_is_carried_out_later(self, site: Site) -> None:
        site.promote(A)
        with pytest.MonkeyPatch.context() as patch:
            point = site.repository.point
            patch.setattr(site.repository, "point", lambda *step: point(*step) if step[0::2] == (ONE, B) else refuse())
            with pytest.raises(DiskFull):
                site.promote(B)
            assert site.at() == (B, A)
            (problem,) = site.pointers.recover([ONE, TWO])
            assert isinstance(problem, DiskFull)
            assert site.at() == (B, A)

        assert site.pointers.recover([ONE, TWO]) == ()
        assert site.at() == (B, B)
        assert [entry.kind for entry in site.ledger.written] == [MoveKind.PROMOTED] * 4
        assert_consecutive(site)

    def test_where_the_ledger_cannot_be_written_the_next_start_does_it(self, site: Site) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site.ledger, "complete", refuse)
            with pytest.raises(DiskFull):
                site.promote(A)
        assert site.at() == (A, A)
        assert site.ledger.written == []
        assert site.pointers.recover([ONE, TWO]) == ()
        assert [entry.step.target for entry in site.ledger.written] == [ONE, TWO]


class Killed(BaseException):
    """Nothing catches it, as nothing runs after a kill."""


def killed_after_one(site: Site, commit_id: str) -> None:
    """A promotion on both targets that is killed when the first pointer was moved."""
    point = site.repository.point

    def once(*step: str) -> None:
        point(*step)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.repository, "point", once)
        with pytest.raises(Killed):
            site.promote(commit_id)


class TestRecovery:
    def test_an_interrupted_move_is_carried_out_at_the_next_start(self, site: Site) -> None:
        site.promote(A)
        killed_after_one(site, B)
        assert site.at() == (B, A)

        assert site.pointers.recover([ONE, TWO]) == ()
        assert site.at() == (B, B)
        assert len(site.ledger.written) == 4
        assert_consecutive(site)

    def test_whoever_writes_to_one_of_its_targets_carries_it_out_first(self, site: Site) -> None:
        site.promote(A)
        killed_after_one(site, B)
        site.promote(C, TWO)

        assert site.at() == (B, C)
        assert [(entry.step.target, entry.step.after) for entry in site.ledger.written[2:]] == [
            (ONE, B),
            (TWO, B),
            (TWO, C),
        ]
        assert_consecutive(site)

    def test_a_writer_of_another_target_leaves_it_alone(self, site: Site) -> None:
        killed_after_one(site, B)
        with site.pointers.writing(["fedora-44-x86_64"]):
            assert len(site.ledger.pending()) == 1

    def test_one_that_others_are_carrying_out_is_left_to_them(self, site: Site) -> None:
        began, go = threading.Event(), threading.Event()
        point = site.repository.point

        def slow(*step: str) -> None:
            began.set()
            assert go.wait(60)
            point(*step)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site.repository, "point", slow)
            mover = threading.Thread(target=site.promote, args=(A,))
            mover.start()
            assert began.wait(60)
            other = threading.Thread(target=site.pointers.recover, args=([ONE, TWO],))
            other.start()
            go.set()
            mover.join()
            other.join()
        assert [entry.kind for entry in site.ledger.written] == [MoveKind.PROMOTED] * 2

    def test_one_whose_snapshot_is_gone_is_taken_back_and_told(self, site: Site) -> None:
        site.promote(A, ONE)
        killed_after_one(site, B)
        site.remove(TWO, B)

        (problem,) = site.pointers.recover([ONE, TWO])
        assert f"move of tested of {ONE}, {TWO} was taken back" in problem.what
        assert site.at() == (A, None)
        assert site.ledger.pending() == ()
        assert site.pointers.recover([ONE, TWO]) == ()

    def test_where_there_is_no_way_back_the_pointer_stays_and_is_written_down(self, site: Site) -> None:
        site.promote(A, ONE)
        killed_after_one(site, B)
        site.remove(TWO, B)
        site.remove(ONE, A)

        assert len(site.pointers.recover([ONE, TWO])) == 1
        assert site.at() == (B, None)
        assert [entry.kind for entry in site.ledger.written] == [MoveKind.PROMOTED, MoveKind.FOUND]

    def test_a_pointer_that_others_moved_is_written_down_once(self, site: Site) -> None:
        site.promote(A)
        site.repository.point(ONE, "tested", B)
        site.repository.point(TWO, "restored", C)
        for _ in range(2):
            assert site.pointers.recover([ONE, TWO]) == ()

        assert [(entry.kind, entry.actor, entry.step) for entry in site.ledger.written[2:]] == [
            (MoveKind.FOUND, "conveyor", Step(target=ONE, pointer="tested", before=A, after=B)),
            (MoveKind.FOUND, "conveyor", Step(target=TWO, pointer="restored", before=None, after=C)),
        ]
        assert_consecutive(site)

    def test_a_kill_while_writing_down_what_was_found_moves_nothing(self, site: Site) -> None:
        site.promote(A)
        site.repository.point(ONE, "tested", B)

        def die(*_: object, **_named: object) -> None:
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site.ledger, "complete", die)
            with pytest.raises(Killed):
                site.pointers.recover([ONE, TWO])
        site.repository.point(ONE, "tested", C)

        assert site.pointers.recover([ONE, TWO]) == ()
        assert site.at() == (C, A)
        assert site.ledger.written[-1].step == Step(target=ONE, pointer="tested", before=A, after=C)

    def test_one_target_that_cannot_be_looked_at_does_not_keep_the_others_back(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.repository.point(ONE, "tested", B)
        site.repository.point(TWO, "tested", B)
        pointers = site.repository.pointers

        def picky(target: str) -> object:
            if target == ONE:
                raise ConveyorError("it cannot be read")
            return pointers(target)

        monkeypatch.setattr(site.repository, "pointers", picky)
        (problem,) = site.pointers.recover([ONE, TWO])
        assert problem.what == "it cannot be read"
        assert [entry.step.target for entry in site.ledger.written] == [TWO]
