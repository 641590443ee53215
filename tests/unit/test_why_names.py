"""What a name stands for when somebody asks why."""

from __future__ import annotations

import pytest

from conveyor.errors import AmbiguousName, UnknownName
from conveyor.model.build import Build
from conveyor.model.why import Subject
from conveyor.pipeline.explaining.names import Asked, Known, find_asked
from tests.fakes import store_samples as sample
from tests.fakes.store import MemoryStore

KNOWN = Known(
    packages=["nova", "cafe", "tested"],
    pointers={"debian-13-amd64": ["current", "consistent", "tested"], "fedora-43-x86_64": ["current", "feed"]},
)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def add(store: MemoryStore, name: str, *, package: str = "nova", extended: str = "") -> Build:
    return store.queue(sample.commit(name, package=package, extended=extended), sample.TARGET, retry=False)


def found(store: MemoryStore, named: str, package: str | None = None) -> Asked:
    return find_asked(named, KNOWN, store, package=package)


@pytest.mark.parametrize(
    ("named", "subject", "name", "target"),
    [
        ("nova", Subject.PACKAGE, "nova", ""),
        ("debian-13-amd64", Subject.TARGET, "debian-13-amd64", ""),
        ("current", Subject.POINTER, "current", ""),
        ("consistent", Subject.POINTER, "consistent", ""),
        ("debian-13-amd64/tested", Subject.POINTER, "tested", "debian-13-amd64"),
        ("pointer:tested", Subject.POINTER, "tested", ""),
        ("package:tested", Subject.PACKAGE, "tested", ""),
        ("1", Subject.BUILD, "1", ""),
        ("build:1", Subject.BUILD, "1", ""),
    ],
)
def test_names(store: MemoryStore, named: str, subject: Subject, name: str, target: str) -> None:
    add(store, "1")
    asked = found(store, named)
    assert (asked.subject, asked.name, asked.target) == (subject, name, target)


def test_a_commit_goes_by_the_beginning_of_its_id(store: MemoryStore) -> None:
    build = add(store, "1")
    for named in (build.commit.short, build.commit.upstream.sha, build.commit.id, f"commit:{build.commit.id[:5]}"):
        assert found(store, named).builds == (build,)
        assert found(store, named).name == build.commit.id


def test_a_commit_with_another_packaging_is_the_same_commit(store: MemoryStore) -> None:
    first, second = add(store, "1"), add(store, "1", extended="x")
    asked = found(store, first.commit.upstream.sha)
    assert asked.builds == (first, second)
    assert asked.name == first.commit.upstream.sha
    assert found(store, second.commit.id).builds == (second,)


def test_a_package_that_is_configured_no_more_is_known_by_its_builds(store: MemoryStore) -> None:
    add(store, "1", package="gone")
    assert found(store, "gone") == Asked(subject=Subject.PACKAGE, name="gone")


def test_what_may_be_a_commit_is_one_though_nobody_has_seen_it(store: MemoryStore) -> None:
    assert found(store, "abcdef12") == Asked(subject=Subject.COMMIT, name="abcdef12")
    assert found(store, "feed", package="nova").subject is Subject.COMMIT


def test_few_digits_are_the_number_of_a_build(store: MemoryStore) -> None:
    number = next(each for each in range(10**5) if sample.sha1(str(each))[:6].isdigit())
    build = add(store, str(number))
    digits = build.commit.upstream.sha[:6]
    with pytest.raises(UnknownName):
        found(store, digits)
    assert found(store, f"commit:{digits}").builds == (build,)
    assert found(store, digits, package="nova").builds == (build,)


@pytest.mark.parametrize(("named", "both"), [("tested", "package:tested, pointer:tested")])
def test_what_goes_by_two_names_is_told_with_both(store: MemoryStore, named: str, both: str) -> None:
    with pytest.raises(AmbiguousName) as caught:
        found(store, named)
    assert caught.value.cause == both
    assert "conveyor why package:tested" in caught.value.hint


def test_a_commit_of_two_packages_needs_the_package(store: MemoryStore) -> None:
    nova, glance = add(store, "1"), add(store, "1", package="glance")
    with pytest.raises(AmbiguousName) as caught:
        found(store, nova.commit.short)
    assert "(nova)" in caught.value.cause
    assert "(glance)" in caught.value.cause
    assert "--package" in caught.value.hint
    assert found(store, nova.commit.short, package="glance").builds == (glance,)


def test_two_commits_that_begin_alike_are_both_named(store: MemoryStore) -> None:
    by_beginning: dict[str, str] = {}
    number = 0
    while (beginning := sample.sha1(str(number))[:4]) not in by_beginning:
        by_beginning[beginning] = str(number)
        number += 1
    first, second = add(store, by_beginning[beginning]), add(store, str(number))
    with pytest.raises(AmbiguousName) as caught:
        found(store, f"commit:{beginning}")
    assert first.commit.id in caught.value.cause
    assert second.commit.id in caught.value.cause


@pytest.mark.parametrize(
    "named", ["nowa", "", ":", "package:nowa", "debian-13-amd64/nowhere", "17", "build:x", "\x1b["]
)
def test_what_nothing_goes_by_is_told_so(store: MemoryStore, named: str) -> None:
    with pytest.raises(UnknownName, match="nothing goes by") as caught:
        found(store, named)
    assert not isinstance(caught.value, AmbiguousName)


def test_the_nearest_name_is_suggested(store: MemoryStore) -> None:
    with pytest.raises(UnknownName) as caught:
        found(store, "nowa")
    assert caught.value.hint.startswith("did you mean 'nova'?")
