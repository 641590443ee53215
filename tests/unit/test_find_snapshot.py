"""Which snapshot somebody means."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.errors import AmbiguousName, UnknownName
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.looking.find_snapshot import find_snapshot
from tests.fakes.store_samples import artifact, commit, minute, succeed
from tests.support.workshop import TARGET, Workshop, new_world

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Two commits of nova that were published, the pointer "tested" at the older one."""
    workshop = Workshop(new_world(tmp_path, "nova"))
    workshop.build("nova")
    workshop.push("nova", "Second")
    workshop.build("nova")
    workshop.parts.repository.point(TARGET.name, "tested", workshop.parts.store.build(1).commit.id)
    return workshop


def find(workshop: Workshop, named: str) -> PublishedSnapshot:
    return find_snapshot(workshop.parts.store, workshop.parts.repository, TARGET.name, named)


def test_all_names_of_a_snapshot_lead_to_it(workshop: Workshop) -> None:
    older, newer = workshop.parts.store.build(1).commit, workshop.parts.store.build(2).commit
    for name in ("tested", "1", older.id, older.upstream.sha, older.upstream.sha[:4], older.id[:45]):
        assert find(workshop, name).build == 1, name
    for name in ("current", "consistent", "2", newer.id, newer.upstream.sha[:10]):
        assert find(workshop, name).build == 2, name


def test_a_pointer_wins_over_a_commit_of_that_name(workshop: Workshop) -> None:
    older, newer = workshop.parts.store.build(1).commit, workshop.parts.store.build(2).commit
    workshop.parts.repository.point(TARGET.name, older.upstream.sha[:6], newer.id)
    assert find(workshop, older.upstream.sha[:6]).build == 2


def test_a_collected_one_is_found(workshop: Workshop) -> None:
    workshop.parts.store.mark_collected([1], AT)
    assert find(workshop, "1").collected_at == AT


@pytest.mark.parametrize("named", ["", "nothing", "../x", "3", "0", "99999999999", "f00", "ffffffff", "_", "%", "pool"])
def test_what_is_not_there_is_told_with_the_pointers(workshop: Workshop, named: str) -> None:
    with pytest.raises(UnknownName, match="has no snapshot") as raised:
        find(workshop, named)
    assert "pointers: consistent, current, tested" in raised.value.hint


def test_a_build_that_is_not_published_is_no_snapshot(workshop: Workshop) -> None:
    store = workshop.parts.store
    build = succeed(store, commit("unpublished"), minute(1), artifact("x_1_all.deb", name="x"))
    for name in (str(build.id), build.commit.id):
        with pytest.raises(UnknownName, match="has no snapshot"):
            find(workshop, name)


def test_what_could_be_two_is_refused_and_both_are_named(workshop: Workshop) -> None:
    store = workshop.parts.store
    plain, extended = commit("3"), commit("3", extended="abcd")
    for number, each in enumerate([plain, extended], start=3):
        build = succeed(store, each, minute(number), artifact(f"{number}_all.deb", name="x", version=f"{number}-1"))
        store.mark_published(build.id, 0.5)
    with pytest.raises(AmbiguousName, match="2 snapshots whose commit begins with") as raised:
        find(workshop, plain.upstream.sha[:8])
    assert raised.value.cause == f"{plain.id}, {extended.id}"
    assert find(workshop, plain.id).commit == plain.id
    assert find(workshop, extended.id).commit == extended.id


def test_a_pointer_to_what_the_store_does_not_know_is_told(workshop: Workshop) -> None:
    strange = "f" * 40 + "_ffffffff"
    workshop.parts.repository.snapshot_folder(TARGET.name, strange).mkdir(parents=True)
    workshop.parts.repository.point(TARGET.name, "tested", strange)
    with pytest.raises(UnknownName, match="which the store does not know"):
        find(workshop, "tested")
