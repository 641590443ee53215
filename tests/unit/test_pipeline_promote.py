"""Promotions on two targets: what moves, what does not and why, and what is in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.errors import ConveyorError, LimitExceeded, PromotionRefused, SnapshotDamaged, UnknownName
from conveyor.model.build import Build, Outcome
from conveyor.model.promotion import LedgerEntry, MoveKind, PromotionPolicy, Vote
from conveyor.pipeline.pointing.promote import Asked
from conveyor.pipeline.pointing.standings import Standing, Standings
from conveyor.pipeline.poll import Wanted
from tests.support.workshop import TARGET, Workshop, new_world

OTHER = replace(TARGET, name="local-1-x86_64")
BOTH = (TARGET.name, OTHER.name)
EACH = PromotionPolicy(name="tested", targets=BOTH)
TOGETHER = replace(EACH, together=True)

Make = Callable[..., Workshop]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """One world, and workshops on it that have promotions."""
    world = new_world(tmp_path, "nova", "oslo")
    return lambda *policies: Workshop(world, targets=(TARGET, OTHER), policies=policies)


def both(workshop: Workshop, package: str) -> Build:
    """Build the newest commit of a package on both targets."""
    builds = [workshop.build(package, target=target).build for target in (TARGET, OTHER)]
    assert all(build.published for build in builds)
    return builds[0]


def fail(workshop: Workshop, package: str, target: object = OTHER) -> Build:
    """Let the newest commit of a package fail on a target."""

    def refuse() -> None:
        raise LimitExceeded("too long")

    workshop.builder.hooks["build"] = refuse
    build = workshop.build(package, target=target).build  # type: ignore[arg-type]
    assert build.outcome is Outcome.FAILED
    workshop.builder.hooks.clear()
    return build


def promote(
    workshop: Workshop, commit: str, policy: PromotionPolicy = EACH, *targets: str, **more: object
) -> tuple[LedgerEntry, ...]:
    return workshop.promoter.promote(
        Asked(commit=commit, policy=policy, targets=targets, actor="ann", **more)  # type: ignore[arg-type]
    )


def refused(workshop: Workshop, commit: str, policy: PromotionPolicy = EACH, *targets: str) -> list[str]:
    """What is missing; nothing was moved."""
    before = workshop.ledger.entries()
    with pytest.raises(PromotionRefused) as raised:
        promote(workshop, commit, policy, *targets)
    assert workshop.ledger.entries() == before
    return list(raised.value.details) or [raised.value.summary]


def vote(workshop: Workshop, build: Build, job: str, *, success: bool | None, target: str = "") -> None:
    at = workshop.world.clock.now()
    workshop.world.votes.add(Vote(subject=build.commit.id, target=target, job=job, success=success, user="ci", at=at))


def where(workshop: Workshop, pointer: str = "tested") -> list[str | None]:
    return [workshop.pointed(pointer, target) for target in (TARGET, OTHER)]


def standings(workshop: Workshop, *policies: PromotionPolicy) -> dict[tuple[str, str], Standing]:
    parts, knowledge = workshop.parts, workshop.knowledge
    components = {target: dict.fromkeys(knowledge.grid, "main") for target in BOTH}
    looked = Standings(parts.store, workshop.ledger, parts.repository, knowledge, policies, components)
    return {(each.target, each.pointer): each for each in looked.of(BOTH)}


class TestOneCommit:
    def test_it_moves_on_all_targets_that_have_the_commit(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        entries = promote(workshop, build.commit.id, note="looks good", keep=True)
        assert where(workshop) == [build.commit.id] * 2
        assert [(entry.kind, entry.actor, entry.note, entry.keep) for entry in entries] == (
            [(MoveKind.PROMOTED, "ann", "looks good", True)] * 2
        )
        assert entries[0].move == entries[1].move
        assert entries[0].evidence["together"] is False
        assert list(entries[0].evidence["targets"]) == list(BOTH)  # type: ignore[call-overload]

    def test_it_moves_on_the_targets_that_are_named(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        promote(workshop, build.commit.id, EACH, OTHER.name)
        assert where(workshop) == [None, build.commit.id]

    def test_a_target_without_the_commit_stays_where_it_is(self, make: Make) -> None:
        workshop = make()
        build = workshop.build("nova").build
        promote(workshop, build.commit.id)
        assert where(workshop) == [build.commit.id, None]

    def test_there_already(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        promote(workshop, build.commit.id)
        assert promote(workshop, build.commit.id) == ()

    @pytest.mark.parametrize("length", [4, 7, 40, 43, 49])
    def test_a_commit_goes_by_the_beginning_of_its_id(self, make: Make, length: int) -> None:
        workshop = make()
        build = both(workshop, "nova")
        promote(workshop, build.commit.id[:length])
        assert where(workshop) == [build.commit.id] * 2

    def test_a_build_s_number(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        promote(workshop, str(build.id))
        assert where(workshop) == [build.commit.id] * 2

    def test_a_pointer_s_name_is_for_each_target_what_it_leads_to_there(self, make: Make) -> None:
        workshop = make()
        first = both(workshop, "nova")
        workshop.push("nova", "Second")
        second = workshop.build("nova").build
        promote(workshop, "consistent")
        assert where(workshop) == [second.commit.id, first.commit.id]

    def test_two_packagings_of_one_upstream_commit_are_told_apart(self, make: Make) -> None:
        workshop = make()
        first = both(workshop, "nova")
        workshop.world.packaging.recipes["nova"] += "say more\n"
        second = both(workshop, "nova")
        with pytest.raises(UnknownName) as raised:
            promote(workshop, first.commit.id[:12])
        assert raised.value.what == f"2 commits begin with {first.commit.id[:12]}"
        assert list(raised.value.details) == [f"{build.commit.id} (nova)" for build in (first, second)]
        promote(workshop, second.commit.id)
        assert where(workshop) == [second.commit.id] * 2

    def test_what_is_published_wins_over_what_failed_under_the_same_sha(self, make: Make) -> None:
        workshop = make()
        for target in (TARGET, OTHER):
            fail(workshop, "nova", target)
        workshop.world.packaging.recipes["nova"] += "say better\n"
        good = both(workshop, "nova")
        promote(workshop, good.commit.id[:7])
        assert where(workshop) == [good.commit.id] * 2

    @pytest.mark.parametrize("named", ["0123456", "f" * 40, "nothing", "consistent", "../x", "", "99999", "\x1b[2J"])
    def test_what_does_not_exist(self, make: Make, named: str) -> None:
        workshop = make()
        with pytest.raises(UnknownName) as raised:
            promote(workshop, named)
        assert raised.value.what == f"there is no commit {named!r}"
        assert where(workshop) == [None, None]

    def test_what_is_not_published(self, make: Make) -> None:
        workshop = make()
        good, bad = workshop.build("nova").build, fail(workshop, "nova")
        assert refused(workshop, good.commit.id) == [
            f"{OTHER.name}: nova {good.commit.short} is not published (build {bad.id} failed)"
        ]
        assert refused(workshop, good.commit.id, EACH, OTHER.name)
        promote(workshop, good.commit.id, EACH, TARGET.name)

    def test_what_was_collected(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        workshop.parts.store.mark_collected([build.id], workshop.world.clock.now())
        (line,) = refused(workshop, build.commit.id)
        assert line.startswith(f"{TARGET.name}: {build.commit.id} was collected, 2026-03-01 12:")

    @pytest.mark.parametrize("name", ["current", "consistent"])
    def test_reserved_names(self, make: Make, name: str) -> None:
        workshop = make()
        build = both(workshop, "nova")
        (line,) = refused(workshop, build.commit.id, replace(EACH, name=name))
        assert line == f"nothing is promoted to {name}: it follows builds"

    @pytest.mark.parametrize(
        "name", ["a/b", "..", ".", "../../etc", "", "ab", "pool", "ledger-head", "component", "-x", "x\n", "x" * 101]
    )
    def test_names_that_no_pointer_can_have(self, make: Make, name: str) -> None:
        workshop = make()
        build = both(workshop, "nova")
        with pytest.raises(UnknownName) as raised:
            promote(workshop, build.commit.id, replace(EACH, name=name))
        assert "cannot be a promotion's name" in raised.value.what

    def test_a_target_that_is_not_in_the_policy(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        policy = replace(EACH, targets=(TARGET.name,))
        assert refused(workshop, build.commit.id, policy, OTHER.name) == ["tested is no promotion of local-1-x86_64"]


class TestEvidence:
    def test_what_is_missing_is_told_line_by_line(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        vote(workshop, build, "smoke", success=True, target=TARGET.name)
        policy = replace(EACH, votes=("smoke", "full"), min_age=3600)
        lines = refused(workshop, build.commit.id, policy)
        assert [line.partition(": ")[2].partition(" ago")[0].split()[0] for line in lines] == (
            ["published", "no", "published", "no", "no"]
        )
        assert lines[1] == f"{TARGET.name}: no vote of full"
        assert lines[3:] == [f"{OTHER.name}: no vote of smoke", f"{OTHER.name}: no vote of full"]

    def test_with_all_evidence_it_moves_and_the_ledger_has_it(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        vote(workshop, build, "smoke", success=False)
        vote(workshop, build, "smoke", success=True)
        workshop.world.clock._now += timedelta(hours=1)
        policy = replace(EACH, votes=("smoke",), min_age=3600, succeeded_on=BOTH)
        (entry, _) = promote(workshop, build.commit.id, policy)
        stood_on = entry.evidence["targets"][TARGET.name]  # type: ignore[index]
        assert stood_on["age"] >= 3600
        assert [(each["job"], each["success"]) for each in stood_on["votes"]] == [("smoke", True)]
        assert sorted(stood_on["succeeded_on"]) == sorted(BOTH)

    def test_success_is_asked_for_on_targets_without_the_pointer_too(self, make: Make) -> None:
        workshop = make()
        build = workshop.build("nova").build
        policy = replace(EACH, targets=(TARGET.name,), succeeded_on=(OTHER.name,))
        assert refused(workshop, build.commit.id, policy) == [f"nova has not succeeded on {OTHER.name}: not built"]
        workshop.build("nova", target=OTHER)
        promote(workshop, build.commit.id, policy)
        assert where(workshop) == [build.commit.id, None]


class TestTogether:
    def test_the_same_commit_everywhere(self, make: Make) -> None:
        workshop = make()
        both(workshop, "oslo")
        build = both(workshop, "nova")
        entries = promote(workshop, build.commit.id, TOGETHER)
        assert where(workshop) == [build.commit.id] * 2
        assert entries[0].evidence["together"] is True

    def test_none_moves_where_one_lacks_the_commit(self, make: Make) -> None:
        workshop = make()
        both(workshop, "nova")
        workshop.push("nova", "Second")
        build, bad = workshop.build("nova").build, fail(workshop, "nova")
        assert refused(workshop, build.commit.id, TOGETHER) == [
            f"{OTHER.name}: nova {build.commit.short} is not published (build {bad.id} failed)"
        ]
        assert where(workshop) == [None, None]

    def test_the_cells_that_differ_are_named(self, make: Make) -> None:
        workshop = make()
        first = both(workshop, "oslo")
        workshop.push("oslo", "Second")
        second, bad = workshop.build("oslo").build, fail(workshop, "oslo")
        build = both(workshop, "nova")
        assert refused(workshop, build.commit.id, TOGETHER) == [
            f"oslo on {TARGET.name}: {second.commit.short}, {OTHER.name}: {first.commit.short} (build {bad.id} failed)"
        ]

    def test_what_one_target_lacks_is_a_cell_too(self, make: Make) -> None:
        workshop = make()
        oslo = workshop.build("oslo").build
        build = both(workshop, "nova")
        assert refused(workshop, build.commit.id, TOGETHER) == [
            f"oslo on {TARGET.name}: {oslo.commit.short}, {OTHER.name}: none (not built)"
        ]

    def test_a_later_snapshot_that_still_has_the_commit_goes_with_the_other_s(self, make: Make) -> None:
        workshop = make()
        both(workshop, "oslo")
        sha = workshop.push("oslo", "Second")
        oslo = workshop.build("oslo").build
        fail(workshop, "oslo")
        nova = both(workshop, "nova")
        mended = workshop.build("oslo", Wanted(revision=sha), target=OTHER).build
        assert mended.commit == oslo.commit
        promote(workshop, nova.commit.id, TOGETHER)
        assert where(workshop) == [nova.commit.id, oslo.commit.id]

    def test_a_pointer_means_exactly_its_snapshots(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        promote(workshop, "current", TOGETHER)
        workshop.push("nova", "Second")
        workshop.build("nova")
        assert len(refused(workshop, "current", TOGETHER)) == 1
        assert where(workshop) == [build.commit.id] * 2

    def test_it_is_not_for_some_targets_alone(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        assert refused(workshop, build.commit.id, TOGETHER, TARGET.name) == (
            ["tested moves for all of its targets together"]
        )
        promote(workshop, build.commit.id, TOGETHER, *reversed(BOTH))
        assert where(workshop) == [build.commit.id] * 2

    def test_evidence_is_asked_of_each_snapshot(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        vote(workshop, build, "smoke", success=True, target=OTHER.name)
        assert refused(workshop, build.commit.id, replace(TOGETHER, votes=("smoke",))) == (
            [f"{TARGET.name}: no vote of smoke"]
        )


class TestAutomatic:
    def test_each_target_follows_by_itself(self, make: Make) -> None:
        workshop = make(replace(EACH, automatic=True))
        first = both(workshop, "nova")
        workshop.push("nova", "Second")
        second = workshop.build("nova").build
        assert where(workshop) == [second.commit.id, first.commit.id]
        (entry,) = workshop.ledger.entries(pointer="tested", limit=1)
        assert (entry.kind, entry.actor, entry.step.before) == (MoveKind.PROMOTED, "conveyor", first.commit.id)

    def test_a_set_moves_when_both_have_the_same(self, make: Make) -> None:
        workshop = make(replace(TOGETHER, automatic=True))
        workshop.build("nova")
        assert where(workshop) == [None, None]
        first = workshop.build("nova", target=OTHER).build
        assert where(workshop) == [first.commit.id] * 2
        workshop.push("nova", "Second")
        second = workshop.build("nova").build
        assert where(workshop) == [first.commit.id] * 2
        workshop.build("nova", target=OTHER)
        assert where(workshop) == [second.commit.id] * 2

    def test_the_newest_that_go_together_while_one_runs_ahead(self, make: Make) -> None:
        workshop = make()
        both(workshop, "oslo")
        nova = both(workshop, "nova")
        workshop.push("oslo", "Second")
        workshop.build("oslo")
        following = make(replace(TOGETHER, automatic=True))
        assert following.recovery.run() == ()
        assert where(following) == [nova.commit.id] * 2

    def test_a_vote_is_waited_for(self, make: Make) -> None:
        workshop = make(replace(TOGETHER, votes=("smoke",), automatic=True))
        build = both(workshop, "nova")
        assert where(workshop) == [None, None]
        vote(workshop, build, "smoke", success=True)
        assert workshop.promoter.follow() == ()
        assert where(workshop) == [build.commit.id] * 2

    def test_what_was_rolled_back_stays_until_something_newer_is_there(self, make: Make) -> None:
        workshop = make(replace(TOGETHER, automatic=True))
        first = both(workshop, "nova")
        workshop.push("nova", "Second")
        both(workshop, "nova")
        back = [(target, "tested", first.commit.id) for target in BOTH]
        workshop.pointers.move(MoveKind.ROLLED_BACK, back, actor="ann")
        assert workshop.promoter.follow() == ()
        both(workshop, "nova")
        assert where(workshop) == [first.commit.id] * 2
        workshop.push("nova", "Third")
        third = both(workshop, "nova")
        assert where(workshop) == [third.commit.id] * 2

    def test_a_build_that_is_published_late_is_not_followed(self, make: Make) -> None:
        workshop = make()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workshop.parts.repository, "publish", _fail_to_publish)
            with pytest.raises(SnapshotDamaged):
                workshop.build("nova")
        workshop.push("nova", "Second")
        newer = workshop.build("nova").build
        following = make(replace(EACH, automatic=True))
        assert following.recovery.run() == ()
        assert following.parts.store.unpublished() == ()
        assert where(following) == [newer.commit.id, None]

    def test_what_keeps_it_from_moving_does_no_harm_to_the_build(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workshop = make(replace(TOGETHER, automatic=True), replace(EACH, name="other", automatic=True))
        workshop.build("nova")
        monkeypatch.setattr(workshop.parts.repository, "manifest", _fail_to_publish)
        build = workshop.build("nova", target=OTHER).build
        assert (build.outcome, build.published) == (Outcome.SUCCEEDED, True)
        assert workshop.log(build).splitlines()[-1] == "conveyor: a promotion did not move: it is damaged"
        assert where(workshop) == [None, None]
        assert where(workshop, "other") == [build.commit.id] * 2
        (problem,) = workshop.recovery.run()
        assert problem.what == "it is damaged"


def _fail_to_publish(*_: object) -> Path:
    raise SnapshotDamaged("it is damaged")


class TestStandings:
    def test_where_pointers_stand_and_since_when(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        promote(workshop, build.commit.id, replace(EACH, name="by-hand"), TARGET.name)
        found = standings(workshop, EACH)
        assert list(found)[:4] == [(TARGET.name, name) for name in ("current", "consistent", "tested", "by-hand")]
        standing = found[TARGET.name, "by-hand"]
        assert (standing.commit, standing.held_back) == (build.commit.id, ())
        assert standing.published_at == workshop.parts.store.published(TARGET.name)[0].published_at
        assert found[OTHER.name, "tested"] == Standing(
            target=OTHER.name, pointer="tested", commit=None, published_at=None, held_back=()
        )

    def test_consistent_is_held_back_by_what_fails(self, make: Make) -> None:
        workshop = make()
        both(workshop, "nova")
        workshop.push("nova", "Second")
        fail(workshop, "nova")
        found = standings(workshop)
        assert found[TARGET.name, "consistent"].held_back == ()
        assert found[OTHER.name, "consistent"].held_back == (
            (f"{OTHER.name}: the latest build of nova did not succeed",)
        )

    def test_a_promotion_is_held_back_by_what_the_newest_snapshot_lacks(self, make: Make) -> None:
        workshop = make()
        build = both(workshop, "nova")
        policy = replace(EACH, votes=("smoke",))
        assert standings(workshop, policy)[OTHER.name, "tested"].held_back == (f"{OTHER.name}: no vote of smoke",)
        vote(workshop, build, "smoke", success=True)
        assert standings(workshop, policy)[OTHER.name, "tested"].held_back == ()

    def test_a_set_is_held_back_by_the_cells_that_differ(self, make: Make) -> None:
        workshop = make()
        first = both(workshop, "nova")
        workshop.push("nova", "Second")
        second, bad = workshop.build("nova").build, fail(workshop, "nova")
        line = (
            f"nova on {TARGET.name}: {second.commit.short}, {OTHER.name}: {first.commit.short} (build {bad.id} failed)"
        )
        found = standings(workshop, TOGETHER)
        assert [found[target, "tested"].held_back for target in BOTH] == [(line,), (line,)]

    def test_what_was_rolled_back_is_held_back_by_that(self, make: Make) -> None:
        policy = replace(EACH, automatic=True)
        workshop = make(policy)
        first = both(workshop, "nova")
        workshop.push("nova", "Second")
        second = both(workshop, "nova")
        workshop.pointers.move(MoveKind.ROLLED_BACK, [(TARGET.name, "tested", first.commit.id)], actor="ann")
        found = standings(workshop, policy)
        assert found[TARGET.name, "tested"].held_back == (
            (f"{TARGET.name}: it was moved away from {second.commit.short}, and waits for something newer",)
        )
        assert found[OTHER.name, "tested"].held_back == ()

    def test_a_target_without_anything_holds_a_set_back(self, make: Make) -> None:
        workshop = make()
        workshop.build("nova")
        assert standings(workshop, TOGETHER)[TARGET.name, "tested"].held_back == (
            (f"{OTHER.name}: nothing is published",)
        )

    def test_a_snapshot_that_cannot_be_read_is_told(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        workshop = make()
        both(workshop, "nova")
        monkeypatch.setattr(workshop.parts.repository, "manifest", _fail_to_publish)
        assert standings(workshop, TOGETHER)[TARGET.name, "tested"].held_back == ("it is damaged",)

    def test_nothing_is_built(self, make: Make) -> None:
        assert all(each.commit is None and not each.held_back for each in standings(make(), EACH, TOGETHER).values())


def test_two_promoters_at_once_leave_one_answer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop, other = make(), make()
    first = both(workshop, "nova")
    vote(workshop, first, "smoke", success=True)
    policy = replace(TOGETHER, votes=("smoke",))
    writing = workshop.pointers.writing

    def overtaken(targets: object) -> object:
        vote(other, first, "smoke", success=False)
        return writing(targets)  # type: ignore[arg-type]

    monkeypatch.setattr(workshop.pointers, "writing", overtaken)
    with pytest.raises(ConveyorError) as raised:
        promote(workshop, first.commit.id, policy)
    assert list(raised.value.details) == [f"{target}: smoke failed" for target in BOTH]
    assert where(workshop) == [None, None]
