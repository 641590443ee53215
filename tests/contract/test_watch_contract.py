"""What polls know, whatever it is kept in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from conveyor.model.queue import Change
from conveyor.model.watch import Head, Poke, Remote, Side, Tags
from conveyor.ports import Queue, Watch
from conveyor.store import open_books
from tests.fakes.queue import MemoryQueue
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import NOON, minute, sha1
from tests.fakes.watch import MemoryWatch

URL = "https://git.example.org/nova"
HEAD = Head(package="nova", side=Side.UPSTREAM, url=URL, ref="master", sha=sha1("1"), at=NOON)
REMOTE = Remote(url=URL, polled_at=NOON, answered_at=NOON, failures=0, cause="", next_at=minute(5))


@dataclass(frozen=True, kw_only=True)
class Kept:
    watch: Watch
    queue: Queue


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    if request.param == "memory":
        watch = MemoryWatch()
        yield Kept(watch=watch, queue=MemoryQueue(MemoryStore(), watch))
        return
    books = open_books(request.getfixturevalue(request.param))
    yield Kept(watch=books.watch, queue=books.queue)
    books.store.close()


@pytest.fixture
def watch(kept: Kept) -> Watch:
    return kept.watch


class TestHeads:
    def test_each_side_of_a_package_has_one_and_the_last_counts(self, kept: Kept) -> None:
        packaging = Head(
            package="nova", side=Side.PACKAGING, url="", ref="", sha=sha1("p"), packaging_sha=sha1("q"), at=NOON
        )
        kept.queue.apply(Change(heads=(HEAD, packaging)), NOON)
        assert kept.watch.heads() == {("nova", Side.UPSTREAM): HEAD, ("nova", Side.PACKAGING): packaging}

        gone = replace(HEAD, sha=None, at=minute(1))
        kept.queue.apply(Change(heads=(replace(gone, ref="old"), gone)), NOON)
        assert kept.watch.heads() == {("nova", Side.UPSTREAM): gone, ("nova", Side.PACKAGING): packaging}

    def test_those_of_one_package_are_told_alone(self, kept: Kept) -> None:
        other = replace(HEAD, package="glance")
        packaging = replace(HEAD, side=Side.PACKAGING)
        kept.queue.apply(Change(heads=(HEAD, packaging, other)), NOON)
        assert kept.watch.heads("nova") == {("nova", Side.UPSTREAM): HEAD, ("nova", Side.PACKAGING): packaging}
        assert kept.watch.heads("keystone") == {}


class TestTags:
    @pytest.mark.parametrize("followed", [True, False])
    def test_they_stay_until_there_are_others(self, kept: Kept, followed: bool) -> None:
        packaging = replace(HEAD, side=Side.PACKAGING)
        tags = Tags(shas={"1.0": sha1("1.0"), "1.1": sha1("1.1")}, followed=followed)
        kept.queue.apply(Change(heads=(HEAD, packaging), tags={"nova": tags}), NOON)
        assert kept.watch.tags(["nova", "glance"]) == {"nova": tags}

        kept.queue.apply(Change(heads=(replace(HEAD, sha=sha1("2")), packaging)), NOON)
        assert kept.watch.tags(["nova"]) == {"nova": tags}

        none = Tags(shas={}, followed=followed)
        kept.queue.apply(Change(tags={"nova": none}), NOON)
        assert kept.watch.tags(["nova"]) == {"nova": none}

    def test_of_what_is_followed_on_no_side_there_are_none(self, kept: Kept) -> None:
        kept.queue.apply(Change(heads=(HEAD,)), NOON)
        assert kept.watch.tags([]) == {}
        assert kept.watch.tags(["nova", "glance"]) == {"nova": Tags()}

        kept.queue.apply(Change(tags={"nova": Tags(shas={"1.0": sha1("1")})}), NOON)
        kept.watch.forget(["nova"], [])
        assert kept.watch.tags(["nova"]) == {}
        kept.queue.apply(Change(heads=(HEAD,)), NOON)
        assert kept.watch.tags(["nova"]) == {"nova": Tags()}

    @pytest.mark.parametrize("followed", [True, False])
    def test_names_are_made_harmless(self, kept: Kept, followed: bool) -> None:
        tags = Tags(shas={"\udcff": sha1("t")}, followed=followed)
        kept.queue.apply(Change(heads=(HEAD,), tags={"nova": tags}), NOON)

        assert kept.watch.tags(["nova"])["nova"].shas == {"\ufffd": sha1("t")}


class TestRemotes:
    def test_how_polls_went_is_known_by_url(self, watch: Watch) -> None:
        never = Remote(
            url="https://git.example.org/glance",
            polled_at=None,
            answered_at=None,
            failures=3,
            cause="no such host",
            next_at=minute(90),
        )
        watch.polled([REMOTE, never])
        assert watch.remotes() == {REMOTE.url: REMOTE, never.url: never}

        failed = replace(REMOTE, polled_at=minute(5), failures=1, cause="it timed out", next_at=minute(15))
        watch.polled([failed])
        watch.polled([])
        assert watch.remotes() == {failed.url: failed, never.url: never}
        assert watch.remotes({never.url, "https://git.example.org/none"}) == {never.url: never}
        assert watch.remotes([]) == {}

    def test_when_one_of_some_was_last_asked(self, watch: Watch) -> None:
        never = replace(REMOTE, url="https://git.example.org/glance", polled_at=None)
        later = replace(REMOTE, url="https://git.example.org/heat", polled_at=minute(9))
        watch.polled([replace(REMOTE, polled_at=minute(5)), never, later])

        assert watch.last_polled({REMOTE.url, never.url, later.url}) == minute(9)
        assert watch.last_polled({REMOTE.url, never.url}) == minute(5)
        assert watch.last_polled({never.url, "https://git.example.org/none"}) is None
        assert watch.last_polled(()) is None

    def test_what_a_server_said_is_made_harmless(self, watch: Watch) -> None:
        watch.polled([replace(REMOTE, failures=1, cause="bad \x00 answer")])

        assert watch.remotes()[URL].cause == "bad \ufffd answer"


class TestPokes:
    def test_each_package_once_the_oldest_first(self, watch: Watch) -> None:
        watch.poke(["nova", "glance"], "ada", minute(2))
        watch.poke(["heat"], "grace", minute(1))
        watch.poke(["nova"], "grace", minute(3))

        assert [(poke.package, poke.actor, poke.at) for poke in watch.pokes()] == [
            ("heat", "grace", minute(1)),
            ("glance", "ada", minute(2)),
            ("nova", "grace", minute(3)),
        ]

    def test_an_answered_one_is_gone_and_a_newer_one_stays(self, watch: Watch) -> None:
        watch.poke(["nova", "glance"], "ada", minute(2))
        seen = watch.pokes()
        watch.poke(["nova"], "ada", minute(2) + timedelta(microseconds=1))
        watch.poked(seen)

        assert [poke.package for poke in watch.pokes()] == ["nova"]
        watch.poked(())
        watch.poked(watch.pokes())
        assert watch.pokes() == ()

    def test_a_newer_one_stays_though_the_clock_was_set_back(self, watch: Watch) -> None:
        watch.poke(["nova"], "ada", minute(60))
        seen = watch.pokes()
        watch.poke(["nova"], "grace", minute(0))
        watch.poked(seen)

        assert watch.pokes() == (Poke(package="nova", actor="grace", at=minute(0)),)

    def test_nobody_is_poked_by_no_name(self, watch: Watch) -> None:
        watch.poke([], "ada", NOON)

        assert watch.pokes() == ()


def test_what_is_followed_no_more_is_forgotten(kept: Kept) -> None:
    other = replace(HEAD, package="glance", url=f"{URL}/../glance")
    kept.queue.apply(Change(heads=(HEAD, replace(HEAD, side=Side.PACKAGING), other)), NOON)
    kept.watch.polled([REMOTE, replace(REMOTE, url=other.url)])
    kept.watch.poke(["nova", "glance"], "ada", NOON)
    kept.watch.forget(["nova", "unknown"], [URL])

    assert list(kept.watch.heads()) == [("glance", Side.UPSTREAM)]
    assert list(kept.watch.remotes()) == [other.url]
    assert [poke.package for poke in kept.watch.pokes()] == ["glance"]
    kept.watch.forget([], [])
    assert len(kept.watch.heads()) == 1
