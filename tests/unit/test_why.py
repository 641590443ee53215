"""`Explainer` on a pipeline of fakes: what is gathered for an answer, and from where."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.errors import UnknownName
from conveyor.model.build import Build, Outcome
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.order import NewOrder
from conveyor.model.package import Following, PackagingRepository
from conveyor.model.promotion import CONSISTENT, CURRENT, PromotionPolicy, Vote
from conveyor.model.queue import Change, Pause, Priority, Reason, ReasonKind, Scope, ScopeKind
from conveyor.model.waiting import Cycle, HeldByWorkers, Waiting
from conveyor.model.watch import Head, Side
from conveyor.model.why import Subject, Why
from conveyor.pipeline.explaining import why as explaining
from conveyor.pipeline.explaining.build import Work
from conveyor.pipeline.explaining.why import LATELY, MOVED_TAGS, SEARCHED, Configured, Explainer, Sources
from conveyor.pipeline.pointing.standings import Standings
from tests.fakes.leases import MemoryLeases
from tests.fakes.orders import MemoryOrderBook
from tests.fakes.queue import MemoryQueue
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import CAUSE, claim, sha1
from tests.fakes.watch import MemoryWatch
from tests.support.workshop import TARGET, Workshop, World, new_world, package_of

PACKAGES = ("nova", "glance")
POLICY = PromotionPolicy(name="tested", targets=(TARGET.name,), votes=("smoke",))


@dataclass
class FakeWaits:
    """Says the same of all that waits."""

    reads: int = 0
    waiting: dict[int, Waiting] = field(default_factory=dict)

    def of(self, build_id: int) -> Waiting | None:
        return self.waiting.get(build_id)

    def cycle(self, target: str, package: str) -> Cycle | None:
        del target, package
        return None

    def count(self, target: str) -> int:
        del target
        return len(self.waiting)

    def first(self, target: str) -> int | None:
        del target
        return min(self.waiting, default=None)


class Site:
    """A world with packages, and what explains it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.workshop = Workshop(world, policies=[POLICY])
        assert isinstance(world.store, MemoryStore)
        self.store = world.store
        self.watch = MemoryWatch()
        self.queue = MemoryQueue(self.store, self.watch)
        self.waits = FakeWaits()
        self.orders = MemoryOrderBook()
        self.packages = {name: package_of(name) for name in PACKAGES}

    def why(self, named: str, package: str | None = None, *, following: Following | None = None) -> Why:
        packages = {name: replace(each, following=following or each.following) for name, each in self.packages.items()}
        components = {TARGET.name: {name: each.component for name, each in packages.items()}}
        sources = Sources(
            store=self.store,
            queue=self.queue,
            watch=self.watch,
            orders=self.orders,
            events=self.store.events,
            leases=MemoryLeases(),
            ledger=self.world.ledger,
            repository=self.world.repository,
            standings=Standings(
                self.store, self.world.ledger, self.world.repository, self.workshop.knowledge, [POLICY], components
            ),
            git=self.workshop.git,
            waits=self._read,
            work=lambda _: Work(),
            clock=self.world.clock,
        )
        configured = Configured(
            packages=packages,
            targets={TARGET.name: TARGET},
            promotions={POLICY.name: POLICY},
            retries=3,
            lost_after=60,
        )
        return Explainer(sources, configured).why(named, package=package)

    def _read(self) -> FakeWaits:
        self.waits.reads += 1
        return self.waits

    def fail(self, package: str) -> Build:
        """Build a commit that fails."""
        self.world.packaging.recipes[package] = "broken"
        self.workshop.push(package, "Break it")
        build = self.workshop.build(package).build
        assert build.outcome is Outcome.FAILED
        return build

    def follow(self, package: str, sha: str | None) -> None:
        """Have a poll have seen a commit."""
        url = self.packages[package].upstream
        head = Head(package=package, side=Side.UPSTREAM, url=url, ref="master", sha=sha, at=self.world.clock.now())
        self.queue.apply(Change(heads=(head,)), self.world.clock.now())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(new_world(tmp_path, *PACKAGES))


def told(why: Why) -> str:
    return "\n".join([why.state, why.summary, *why.lines, why.hint, *map(told, why.because)])


class TestOrders:
    def test_a_package_tells_those_that_wait_and_only_its_own(self, site: Site) -> None:
        site.workshop.build("nova")
        new = NewOrder(package="nova", revision="v1", targets=(), actor="ann", at=site.world.clock.now())
        for package in ("nova", "glance"):
            site.orders.add(replace(new, package=package))
        why = site.why("nova")
        assert why.summary.endswith("; order 1 waits")
        assert why.lines[0].startswith("order 1 of v1 for all of its targets, by ann at ")
        assert "order 2" not in told(why)

        site.orders.settle(1, site.world.clock.now(), builds=[1])
        assert "order" not in told(site.why("nova"))


class TestConsistent:
    def test_a_package_that_is_in_it_says_nothing_of_it(self, site: Site) -> None:
        for name in PACKAGES:
            site.workshop.build(name)
        why = site.why("nova")
        assert (why.state, [each.subject for each in why.because]) == ("succeeded", [Subject.BUILD])

    def test_a_package_that_others_keep_out(self, site: Site) -> None:
        for name in PACKAGES:
            site.workshop.build(name)
        site.fail("glance")
        site.workshop.push("nova", "More")
        site.workshop.build("nova")
        (_, pointer) = site.why("nova").because
        assert (pointer.name, pointer.state) == (f"{TARGET.name}/{CONSISTENT}", "held back")
        assert pointer.about.startswith("nova ")
        assert pointer.summary == f"{TARGET.name}: the latest build of glance did not succeed"

    def test_its_own_failure_comes_first_and_of_many_others_the_rest_is_counted(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in PACKAGES:
            site.workshop.build(name)
        site.fail("glance")
        site.workshop.push("nova", "More")
        site.workshop.build("nova")
        site.fail("nova")
        *_, pointer = site.why("nova").because
        assert pointer.summary == f"{TARGET.name}: the latest build of nova did not succeed"
        assert pointer.lines == (f"{TARGET.name}: the latest build of glance did not succeed",)
        assert not pointer.hint
        monkeypatch.setattr(explaining, "HOLDING", 1)
        *_, pointer = site.why("nova").because
        assert pointer.lines == ("and 1 more",)
        assert pointer.hint == f"conveyor why {TARGET.name}/{CONSISTENT}"

    def test_before_there_is_any(self, site: Site) -> None:
        site.fail("glance")
        site.workshop.build("nova")
        (_, pointer) = site.why("nova").because
        assert pointer.about == "there is no consistent yet"

    def test_a_snapshot_that_is_gone_is_told(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in PACKAGES:
            site.workshop.build(name)

        def gone(*_: object) -> None:
            raise UnknownName("it was removed by hand")

        monkeypatch.setattr(site.world.repository, "manifest", gone)
        (_, pointer) = site.why("nova").because
        assert pointer.about == "it was removed by hand"


class TestPointers:
    def test_consistent_names_the_builds_that_hold_it_back(self, site: Site) -> None:
        for name in PACKAGES:
            site.workshop.build(name)
        failed = site.fail("glance")
        site.workshop.push("nova", "More")
        site.workshop.build("nova")
        (pointer,) = site.why(CONSISTENT).because
        assert pointer.state == "held back"
        assert [(each.name, each.state) for each in pointer.because] == [(str(failed.id), "failed")]

    def test_current_is_the_newest(self, site: Site) -> None:
        site.workshop.build("nova")
        assert site.why(f"{TARGET.name}/{CURRENT}").state == "newest"

    def test_a_promotion_lacks_votes_then_waits_for_somebody(self, site: Site) -> None:
        build = site.workshop.build("nova").build
        why = site.why("tested")
        assert why.because[0].summary == f"{TARGET.name}: no vote of smoke"
        vote = Vote(
            subject=build.commit.id, target="", job="smoke", success=True, user="ann", at=site.world.clock.now()
        )
        site.world.votes.add(vote)
        why = site.why(f"{TARGET.name}/tested")
        assert "waits for somebody to promote it" in why.summary
        assert why.hint == f"conveyor promote current tested --target {TARGET.name}"

    def test_before_anything_is_published(self, site: Site) -> None:
        assert "nothing is published" in site.why("tested").because[0].summary


class TestBuilds:
    def test_the_queue_is_read_for_those_that_wait_only_and_once(self, site: Site) -> None:
        failed = site.fail("nova")
        site.why(str(failed.id))
        assert site.waits.reads == 0
        queued = [site.store.queue(site.workshop.commit(name), TARGET.name, retry=True).id for name in PACKAGES]
        held = (HeldByWorkers(workers=1, builds=(9,)),)
        site.waits.waiting = {each: Waiting(build=each, held=held, place=2, before=(9,)) for each in queued}
        why = site.why(TARGET.name)
        assert site.waits.reads == 1
        assert "every worker has a build" in told(why)

    def test_errored_is_retried_or_given_up(self, site: Site) -> None:
        number = site.store.queue(site.workshop.commit("nova"), TARGET.name, retry=False).id
        site.store.claim(number, claim("t"))
        site.store.finish(
            number,
            "t",
            outcome=Outcome.ERRORED,
            at=site.world.clock.now(),
            version=None,
            cause=CAUSE,
            stages=(),
            entry=None,
        )
        assert "a daemon would try it again" in told(site.why(str(number)))
        site.queue.give_up(number, site.world.clock.now())
        assert "is not tried again by itself" in told(site.why(str(number)))

    def test_a_chain_that_turns_back_ends(self, site: Site) -> None:
        first = site.workshop.build("nova").build
        second = site.workshop.build("glance").build
        for build, other in ((first, second), (second, first)):
            site.store.records[build.id].reason = Reason(kind=ReasonKind.DEPENDENCY, build=other.id, cascade=1)
        why = site.why(str(first.id))
        assert [each.name for each in why.because] == [str(second.id)]
        assert why.because[0].because == ()

    def test_a_chain_to_a_build_that_is_gone_ends(self, site: Site) -> None:
        build = site.workshop.build("nova").build
        site.store.records[build.id].reason = Reason(kind=ReasonKind.DEPENDENCY, build=99)
        assert site.why(str(build.id)).because == ()


def told_tags(why: Why) -> list[str]:
    """What an answer tells of tags."""
    return [line for line in why.lines if "versions come from tags" in line]


class TestPackages:
    def test_what_repos_yaml_has_no_more(self, site: Site) -> None:
        site.workshop.build("nova")
        del site.packages["nova"]
        why = site.why("nova")
        assert why.state == "not followed"
        assert [each.state for each in why.because] == ["succeeded"]

    def test_one_that_was_never_built(self, site: Site) -> None:
        why = site.why("nova")
        assert (why.state, why.because[0].state) == ("not built", "not built")
        assert "no daemon is running" in why.because[0].summary

    def test_tags_that_moved_lately_are_told(self, site: Site) -> None:
        moved = [
            NewEvent(kind=EventKind.TAG_MOVED, summary=f"nova: the tag 1.{number} was moved", package="nova")
            for number in range(MOVED_TAGS + 1)
        ]
        now = site.world.clock.now()
        site.store.events.record(moved[:2], now - LATELY)
        assert told_tags(site.why("nova")) == []
        site.store.events.record(moved, now - timedelta(days=1))
        told = told_tags(site.why("nova"))
        assert len(told) == MOVED_TAGS
        assert told[0].startswith("nova: the tag 1.3 was moved, seen at ")
        assert "1 d" in told[0]
        assert told_tags(site.why("glance")) == []

    def test_a_version_that_went_backwards_names_them(self, site: Site) -> None:
        site.workshop.build("nova")
        site.store.events.record(
            [NewEvent(kind=EventKind.TAG_GONE, summary="nova: the tag 2.0 is gone", package="nova")],
            site.world.clock.now(),
        )
        failed = site.fail("nova")
        assert told_tags(site.why(str(failed.id))) == []
        record = site.store.records[failed.id]
        record.build = replace(failed, cause=replace(CAUSE, kind="VersionWentBackwards"))
        assert len(told_tags(site.why(str(failed.id)))) == 1

    def test_packaging_of_its_own_is_followed_too(self, site: Site) -> None:
        packaging = PackagingRepository(url="https://git.example.org/nova-packaging", branch="rpm")
        site.packages["nova"] = replace(site.packages["nova"], packaging=packaging)
        assert "packaging https://git.example.org/nova-packaging was never polled" in site.why("nova").lines

    @pytest.mark.parametrize(
        ("kind", "name", "concerned"),
        [
            (ScopeKind.ALL, "", True),
            (ScopeKind.PACKAGE, "nova", True),
            (ScopeKind.PACKAGE, "glance", False),
            (ScopeKind.TARGET, TARGET.name, True),
            (ScopeKind.TARGET, "another", False),
        ],
    )
    def test_only_its_own_pauses_concern_it(self, site: Site, kind: ScopeKind, name: str, concerned: bool) -> None:
        scope = Scope(kind=kind, name=name)
        site.queue.pause(Pause(scope=scope, actor="ann", note="", at=site.world.clock.now()))
        assert (site.why("nova").state == "paused") is concerned


class TestCommits:
    def fetched(self, site: Site) -> list[str]:
        """Commits of nova, the second of which was seen by the last poll; the last one is in another branch."""
        upstream = site.world.upstreams[site.packages["nova"].upstream]
        shas = [upstream.branches["master"], upstream.commit("Second"), upstream.commit("Third")]
        other = upstream.commit("Other", branch="stable", parents=[shas[0]])
        site.workshop.git.update(site.packages["nova"].upstream)
        site.follow("nova", shas[1])
        return [*shas, other]

    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (0, "was in master before that was followed"),
            (1, "was in master before that was followed"),
            (2, "is newer than what the last poll saw of master"),
            (3, "is not in master, which is followed"),
        ],
    )
    @pytest.mark.parametrize("package", [None, "nova"])
    def test_one_that_was_fetched(self, site: Site, number: int, words: str, package: str | None) -> None:
        sha = self.fetched(site)[number]
        why = site.why(sha[:12], package)
        assert (why.name, why.state, why.about) == (sha, "not built", "of nova")
        assert words in why.summary

    def test_one_that_nobody_has_seen(self, site: Site) -> None:
        self.fetched(site)
        why = site.why("0123456789")
        assert why.summary == "no build has such a commit"
        assert "it is not in what was fetched of the 2 packages either" in why.lines
        assert "nothing that was fetched of nova begins with" in site.why("0123456789", "nova").summary

    def test_nothing_is_fetched_to_answer(self, site: Site) -> None:
        assert "nothing of nova was fetched" in site.why("0123456789", "nova").summary
        site.follow("nova", sha1("never fetched"))
        assert "nothing of nova was fetched" in site.why("0123456789", "nova").summary

    def test_too_many_packages_are_not_searched(self, site: Site) -> None:
        sha = self.fetched(site)[3]
        site.packages |= {f"p{number}": package_of(f"p{number}") for number in range(SEARCHED)}
        assert f"{SEARCHED + 2} packages are too many" in told(site.why(sha))
        assert "is not in master" in site.why(sha, "nova").summary

    def test_a_package_that_there_is_not(self, site: Site) -> None:
        with pytest.raises(UnknownName, match=r"repos\.yaml has no package 'nowa'"):
            site.why("0123456789", "nowa")

    def test_targets_that_lack_it_are_told(self, site: Site) -> None:
        build = site.workshop.build("nova").build
        site.packages["nova"] = replace(site.packages["nova"], targets=(TARGET.name, "another"))
        why = site.why(build.commit.short)
        assert why.summary == f"{TARGET.name}: succeeded, another: not built"
        assert why.about == "nova: First"

    def test_priority_and_reason_come_from_the_store(self, site: Site) -> None:
        build = site.workshop.build("nova").build
        assert site.store.reason(build.id)[0] is Priority.REQUEST
        assert "it is there because: somebody asked for it" in site.why(str(build.id)).lines
