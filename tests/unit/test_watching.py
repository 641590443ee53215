"""What is polled, and what comes of it: the watcher on fakes."""

from __future__ import annotations

import copy
import threading
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from conveyor.errors import ConveyorError, HostUnreachable, StoreUnusable, UpstreamUnreachable
from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.package import CommitPolicy, Following, PackagingRepository
from conveyor.model.queue import Change, Priority, ReasonKind
from conveyor.model.watch import RemoteRefs, Side
from conveyor.pipeline.polling import tidings
from conveyor.pipeline.polling.intake import LOOKED_AT
from conveyor.pipeline.polling.unfinished import UnfinishedBuilds
from tests.fakes.store import MemoryStore
from tests.support.site import wait_for
from tests.support.watching import DEB, LATER, LONG_AFTER, RPM, FakeSite, package, url_of

SECOND = timedelta(seconds=1)
DISTGIT = PackagingRepository(url="https://git.example.org/nova-distgit", branch="master")
HOSTILE_NAMES = ("$(reboot)", "--upload-pack=x", "1.0;x", "\x1b[2J", "v", "1.0\n", "\u202e1", "9" * 5000)


@pytest.fixture
def site() -> FakeSite:
    return FakeSite(package())


class TestNews:
    def test_of_a_new_package_the_newest_commit_is_built(self, site: FakeSite) -> None:
        newest = site.upstream().commit("Second")
        (event,) = site.poll()
        assert (event.kind, event.package) == (EventKind.FIRST_SEEN, "nova")
        assert site.waiting() == [newest]
        (build,) = site.builds()
        priority, reason = site.store.reason(build.id)
        assert (priority, reason.kind) == (Priority.FRESH, ReasonKind.NEW_PACKAGE)
        assert build.commit.packaging_sha == site.folders.load(site.packages["nova"]).sha
        assert site.watch.heads()["nova", Side.UPSTREAM].sha == newest

    def test_what_the_newest_declares_is_recorded_before_it_is_queued(
        self, site: FakeSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply, known = site.queue.apply, []

        def applied(change: Change, at: datetime) -> tuple[int, ...]:
            known.append(site.queue.relations(DEB))
            return apply(change, at)

        monkeypatch.setattr(site.queue, "apply", applied)
        for subject in ("Second", "Third"):
            site.upstream().commit(subject)
            site.poll()
        assert [each["nova"].requires for each in known] == [("Second",), ("Third",)]

    def test_nothing_new_costs_one_question(self, site: FakeSite) -> None:
        site.poll()
        site.git.asked.clear()
        site.git.updated.clear()
        assert site.poll() == []
        assert (site.git.asked, site.git.updated) == ([url_of("nova")], [])
        assert len(site.builds()) == 1

    def test_new_commits_are_built_oldest_first(self) -> None:
        site = FakeSite(package(targets=(DEB, RPM)))
        site.poll()
        shas = [site.upstream().commit(f"Commit {number}") for number in range(3)]
        (event,) = site.poll()
        assert (event.kind, event.detail["count"], event.detail["to"]) == (EventKind.NEW_COMMITS, 3, shas[-1])
        assert event.summary.endswith(f"{shas[-1][:7]}: Commit 2")
        for target in (DEB, RPM):
            assert site.waiting(target=target)[1:] == shas
        assert site.priorities() == [Priority.FRESH, Priority.BACKLOG, Priority.BACKLOG, Priority.FRESH]
        numbers = [(build.commit.upstream.sha, build.target) for build in reversed(site.store.builds(limit=99))][2:]
        assert numbers == [(sha, target) for sha in shas for target in (DEB, RPM)]
        assert {site.store.reason(build.id)[1].kind for build in site.builds()[1:]} == {ReasonKind.NEW_COMMIT}

    def test_commits_are_found_along_the_first_parent_whatever_their_dates(self, site: FakeSite) -> None:
        upstream = site.upstream()
        site.poll()
        base = upstream.branches["master"]
        side = upstream.commit("Side", branch="topic", parents=[base])
        main = upstream.commit("Main")
        merge = upstream.commit("Merge", parents=[main, side])
        site.poll()
        assert site.waiting() == [base, main, merge]

    def test_a_new_target_gets_the_newest_commit(self, site: FakeSite) -> None:
        site.poll()
        site.upstream().commit("Second")
        site.poll()
        newest = site.upstream().branches["master"]
        site.change(targets=(DEB, RPM))
        assert site.kinds() == []
        assert site.waiting(target=RPM) == [newest]
        assert len(site.builds()) == 2
        (build,) = site.builds(target=RPM)
        assert site.store.reason(build.id)[1].kind is ReasonKind.NEW_PACKAGE

    def test_a_new_target_and_new_commits_at_once(self, site: FakeSite) -> None:
        site.poll()
        new = [site.upstream().commit(f"Commit {number}") for number in range(3)]
        site.change(targets=(DEB, RPM))
        site.poll()
        assert site.waiting()[1:] == new
        assert site.waiting(target=RPM) == new[-1:]

    def test_a_push_between_the_answer_and_the_fetch_is_seen_the_next_time(self, site: FakeSite) -> None:
        site.poll()
        told = site.upstream().commit("Told")
        answer = site.git.refs(url_of("nova"))
        later = site.upstream().commit("Later")
        refs, site.git.refs = site.git.refs, lambda *_, **__: answer  # type: ignore[method-assign]
        site.poll()
        assert site.waiting()[1:] == [told]
        site.git.refs = refs  # type: ignore[method-assign]
        site.poll()
        assert site.waiting()[1:] == [told, later]


class TestPackaging:
    def test_a_change_builds_the_newest_commit_again(self, site: FakeSite) -> None:
        site.poll()
        site.end()
        site.folders.recipes["nova"] = "second"
        (event,) = site.poll()
        assert (event.kind, event.package) == (EventKind.NEW_PACKAGING, "nova")
        old, new = site.builds()
        assert new.commit.upstream == old.commit.upstream
        assert new.commit.packaging_sha == site.folders.load(site.packages["nova"]).sha == event.detail["to"]
        assert site.store.reason(new.id) == (Priority.FRESH, replace(site.store.reason(new.id)[1]))
        assert site.store.reason(new.id)[1].kind is ReasonKind.NEW_PACKAGING
        assert site.poll() == []

    def test_builds_that_wait_are_made_with_it(self, site: FakeSite) -> None:
        site.poll()
        site.end()
        shas = [site.upstream().commit(f"Commit {number}") for number in range(3)]
        site.poll()
        site.run(site.builds()[1])
        site.folders.recipes["nova"] = "second"
        assert site.kinds() == [EventKind.NEW_PACKAGING, EventKind.SUPERSEDED]
        running = site.builds()[1]
        assert running.state is State.RUNNING
        assert site.superseded().keys() == set(shas[1:])
        assert site.waiting() == [shas[0], *shas[1:]]
        assert {build.commit.packaging_sha for build in site.builds()[4:]} == {
            site.folders.load(site.packages["nova"]).sha
        }

    def test_new_commits_and_new_packaging_at_once(self, site: FakeSite) -> None:
        site.poll()
        first = site.upstream().branches["master"]
        sha = site.upstream().commit("Second")
        site.folders.recipes["nova"] = "second"
        assert site.kinds() == [EventKind.NEW_PACKAGING, EventKind.NEW_COMMITS, EventKind.SUPERSEDED]
        assert site.waiting() == [first, sha]
        assert {build.commit.packaging_sha for build in site.builds()[1:]} == {
            site.folders.load(site.packages["nova"]).sha
        }

    def test_what_a_person_asked_for_keeps_its_packaging(self, site: FakeSite) -> None:
        site.poll()
        (asked_for,) = site.builds()
        site.queue.prioritize(asked_for.id, Priority.REQUEST, "ann", site.clock.now())
        site.folders.recipes["nova"] = "second"
        site.poll()
        old, new = site.builds()
        assert (old.id, old.state) == (asked_for.id, State.QUEUED)
        assert new.commit.upstream == old.commit.upstream

    def test_files_that_are_being_changed_are_waited_for(self, site: FakeSite) -> None:
        site.poll()
        first = site.upstream().branches["master"]
        site.folders.restless.add("nova")
        site.folders.recipes["nova"] = "half"
        sha = site.upstream().commit("Second")
        assert site.poll() == []
        assert site.waiting() == [first]
        assert site.watcher.restless() == {"nova"}
        site.folders.recipes["nova"] = "whole"
        site.folders.restless.clear()
        assert site.kinds(timedelta(seconds=10)) == [
            EventKind.NEW_PACKAGING,
            EventKind.NEW_COMMITS,
            EventKind.SUPERSEDED,
        ]
        assert site.waiting() == [first, sha]
        assert site.watcher.restless() == set()

    def test_files_that_are_left_as_they_were_let_news_through(self, site: FakeSite) -> None:
        site.poll()
        site.folders.restless.add("nova")
        site.upstream().commit("Second")
        assert site.poll() == []
        site.folders.restless.clear()
        assert site.kinds(timedelta(seconds=10)) == [EventKind.NEW_COMMITS]

    def test_files_that_are_being_changed_at_the_first_look_are_looked_at_again_soon(
        self, site: FakeSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refs = site.git.refs

        def refs_later(url: str, *, branches: Collection[str] | None = None, tags: bool = True) -> RemoteRefs:
            wait_for(lambda: "/specs/nova" not in site.watcher._asked, "the folder's answer")
            return refs(url, branches=branches, tags=tags)

        monkeypatch.setattr(site.git, "refs", refs_later)
        site.folders.restless.add("nova")
        assert site.poll() == []
        site.folders.restless.clear()
        assert site.kinds(timedelta(seconds=10)) == [EventKind.FIRST_SEEN]

    def test_a_folder_that_is_gone_holds_builds_back(self, site: FakeSite) -> None:
        site.poll()
        recipe = site.folders.recipes.pop("nova")
        site.upstream().commit("Second")
        assert site.poll() == []
        assert len(site.builds()) == 1
        remote = site.watch.remotes()["/specs/nova"]
        assert (remote.failures, remote.cause) == (1, "nova has no packaging")
        site.folders.recipes["nova"] = recipe
        assert site.kinds(LONG_AFTER) == [EventKind.NEW_COMMITS]
        assert len(site.builds()) == 2


class TestPackagingRepository:
    @pytest.fixture
    def site(self) -> FakeSite:
        return FakeSite(package(packaging=DISTGIT))

    def test_both_repositories_are_followed(self, site: FakeSite) -> None:
        assert site.kinds() == [EventKind.FIRST_SEEN]
        (build,) = site.builds()
        assert build.commit.packaging_sha == site.distgit().branches["master"]
        site.end()
        new = site.distgit().commit("New packaging")
        assert site.kinds() == [EventKind.NEW_PACKAGING]
        assert site.builds()[-1].commit.packaging_sha == new
        assert site.watch.heads()["nova", Side.PACKAGING].packaging_sha == new
        assert site.poll() == []

    def test_only_the_newest_packaging_counts(self, site: FakeSite) -> None:
        site.poll()
        site.end()
        for number in range(3):
            site.distgit().commit(f"Packaging {number}")
        site.poll()
        assert len(site.builds()) == 2
        assert site.builds()[-1].commit.packaging_sha == site.distgit().branches["master"]

    def test_a_forced_branch_is_told_and_followed(self, site: FakeSite) -> None:
        site.poll()
        site.end()
        old = site.distgit().branches["master"]
        new = site.distgit().commit("Instead", parents=[])
        forced, changed = site.poll()
        assert (forced.kind, forced.detail["from"], forced.detail["to"]) == (EventKind.FORCE_PUSHED, old, new)
        assert changed.kind is EventKind.NEW_PACKAGING
        assert site.builds()[-1].commit.packaging_sha == new

    def test_a_branch_that_is_gone_holds_builds_back(self, site: FakeSite) -> None:
        site.poll()
        sha = site.distgit().branches["master"]
        site.distgit().delete_branch("master")
        new = site.upstream().commit("Second")
        (event,) = site.poll()
        assert (event.kind, event.detail["side"]) == (EventKind.BRANCH_GONE, "packaging")
        assert site.poll() == []
        assert len(site.builds()) == 1
        site.distgit().set_branch("master", sha)
        assert site.kinds() == [EventKind.BRANCH_BACK, EventKind.NEW_COMMITS]
        assert site.waiting()[1:] == [new]

    def test_while_it_does_not_answer_what_was_seen_before_counts(self, site: FakeSite) -> None:
        site.poll()
        site.git.failures[DISTGIT.url] = UpstreamUnreachable("no answer")
        new = site.upstream().commit("Second")
        assert site.kinds() == [EventKind.NEW_COMMITS]
        assert site.waiting()[1:] == [new]

    def test_a_new_package_waits_for_its_packaging(self, site: FakeSite) -> None:
        site.git.failures[DISTGIT.url] = UpstreamUnreachable("no answer")
        assert site.poll() == []
        assert site.builds() == []
        assert site.watch.heads() == {}
        site.git.failures.clear()
        assert site.kinds(LONG_AFTER) == [EventKind.FIRST_SEEN]
        assert len(site.builds()) == 1

    def test_a_new_package_waits_for_its_upstream(self, site: FakeSite) -> None:
        site.git.failures[url_of("nova")] = UpstreamUnreachable("no answer")
        assert site.poll() == []
        assert site.builds() == []
        site.git.failures.clear()
        assert site.kinds(LONG_AFTER) == [EventKind.FIRST_SEEN]

    def test_before_something_is_built_the_other_repository_is_asked_too(self, site: FakeSite) -> None:
        site.poll()
        site.end()
        site.git.asked.clear()
        new = site.distgit().commit("New packaging")
        site.watch.polled(
            [
                replace(remote, next_at=site.clock.now() + LATER * 3 / 4)
                for remote in site.watch.remotes().values()
                if remote.url == DISTGIT.url
            ]
        )
        site.restart()
        commit = site.upstream().commit("Second")
        site.poll(LATER / 2 + SECOND)
        assert sorted(site.git.asked) == [url_of("nova"), DISTGIT.url]
        assert [(build.commit.upstream.sha, build.commit.packaging_sha) for build in site.builds()[1:]] == [
            (commit, new)
        ]

    def test_packaging_in_the_upstream_itself(self) -> None:
        site = FakeSite(package(packaging=PackagingRepository(url=url_of("nova"), branch="packaging")))
        packaging = site.upstream().commit("Packaging", branch="packaging", parents=[])
        site.poll()
        (build,) = site.builds()
        assert build.commit.packaging_sha == packaging
        assert site.git.asked == [url_of("nova")]


class TestForcePush:
    def test_what_is_new_is_built_and_what_was_dropped_is_not(self, site: FakeSite) -> None:
        upstream = site.upstream()
        base = upstream.branches["master"]
        site.poll()
        dropped = [upstream.commit(f"Dropped {number}") for number in range(2)]
        site.poll()
        new = [upstream.commit("New 0", parents=[base]), upstream.commit("New 1")]
        forced, news, superseded = site.poll()
        assert (forced.kind, forced.detail["from"], forced.detail["to"], forced.detail["dropped"]) == (
            (EventKind.FORCE_PUSHED, dropped[-1], new[-1], 2)
        )
        assert (news.kind, news.detail["count"], superseded.kind) == (EventKind.NEW_COMMITS, 2, EventKind.SUPERSEDED)
        assert site.waiting() == [base, *new]
        assert site.superseded().keys() == set(dropped)
        assert "no longer on master" in site.superseded()[dropped[0]]
        assert site.poll() == []

    def test_what_a_person_asked_for_is_built(self, site: FakeSite) -> None:
        base = site.upstream().branches["master"]
        site.poll()
        dropped = site.upstream().commit("Dropped")
        site.poll()
        site.queue.prioritize(site.builds()[-1].id, Priority.URGENT, "ann", site.clock.now())
        new = site.upstream().commit("New", parents=[base])
        site.poll()
        assert site.waiting() == [base, dropped, new]

    @pytest.mark.parametrize("cancels", [False, True])
    def test_what_runs_is_cancelled_only_on_request(self, cancels: bool) -> None:
        site = FakeSite(package(following=Following(cancel_superseded=cancels)))
        base = site.upstream().branches["master"]
        site.poll()
        site.upstream().commit("Dropped")
        site.poll()
        site.run(site.builds()[-1])
        site.upstream().commit("New", parents=[base])
        site.poll()
        assert [build.id for build in site.queue.cancelling()] == ([2] if cancels else [])

    def test_backwards_and_forwards_again(self, site: FakeSite) -> None:
        base = site.upstream().branches["master"]
        site.poll()
        site.end()
        dropped = [site.upstream().commit(f"Dropped {number}") for number in range(2)]
        site.poll()
        site.upstream().set_branch("master", base)
        assert site.kinds() == [EventKind.FORCE_PUSHED, EventKind.SUPERSEDED]
        assert site.waiting() == []
        site.upstream().set_branch("master", dropped[-1])
        assert site.kinds() == [EventKind.NEW_COMMITS]
        assert site.waiting() == dropped
        assert len(site.builds()) == 3

    def test_a_history_that_was_rewritten(self, site: FakeSite) -> None:
        site.poll()
        old = site.upstream().commit("Old")
        site.poll()
        rewritten = site.upstream().commit("Rewritten 0", parents=[])
        rewritten = site.upstream().commit("Rewritten 1")
        forced, news, superseded = site.poll()
        assert (forced.kind, forced.detail["from"], forced.detail["dropped"]) == (EventKind.FORCE_PUSHED, old, None)
        assert (news.kind, news.detail["count"], superseded.kind) == (EventKind.NEW_COMMITS, 1, EventKind.SUPERSEDED)
        assert site.waiting() == [rewritten]


class TestBranches:
    def test_one_that_is_gone_is_told_once(self, site: FakeSite) -> None:
        sha = site.upstream().branches["master"]
        site.poll()
        site.upstream().delete_branch("master")
        (event,) = site.poll()
        assert (event.kind, event.detail["from"]) == (EventKind.BRANCH_GONE, sha)
        assert site.watch.heads()["nova", Side.UPSTREAM].sha is None
        assert site.poll() == []
        site.restart()
        assert site.poll() == []
        assert site.waiting() == [sha]

    def test_one_that_comes_back_goes_on_where_it_was(self, site: FakeSite) -> None:
        first = site.upstream().branches["master"]
        site.poll()
        site.upstream().delete_branch("master")
        site.poll()
        new = [site.upstream().commit("Second", parents=[first]), site.upstream().commit("Third")]
        assert site.kinds() == [EventKind.BRANCH_BACK, EventKind.NEW_COMMITS]
        assert site.waiting() == [first, *new]

    def test_one_that_comes_back_as_it_was(self, site: FakeSite) -> None:
        first = site.upstream().branches["master"]
        site.poll()
        site.upstream().delete_branch("master")
        site.poll()
        site.upstream().set_branch("master", first)
        assert site.kinds() == [EventKind.BRANCH_BACK]
        assert site.waiting() == [first]

    def test_one_that_comes_back_with_another_history(self, site: FakeSite) -> None:
        site.poll()
        site.end()
        site.upstream().delete_branch("master")
        site.poll()
        site.upstream().commit("Other 0", parents=[])
        newest = site.upstream().commit("Other 1")
        site.poll()
        assert site.waiting() == [newest]

    def test_one_that_was_never_there(self, site: FakeSite) -> None:
        sha = site.upstream().branches.pop("master")
        (event,) = site.poll()
        assert event.kind is EventKind.BRANCH_GONE
        assert not event.summary.endswith("any more")
        assert site.poll() == []
        site.upstream().set_branch("master", sha)
        assert site.kinds() == [EventKind.BRANCH_BACK, EventKind.NEW_COMMITS]
        assert site.waiting() == [sha]

    def test_another_branch_is_followed_from_its_newest_commit(self, site: FakeSite) -> None:
        upstream = site.upstream()
        base = upstream.branches["master"]
        site.poll()
        waiting = upstream.commit("On master")
        site.poll()
        upstream.commit("Stable 0", branch="stable", parents=[base])
        stable = upstream.commit("Stable 1", branch="stable")
        site.change(branch="stable")
        assert site.kinds() == [EventKind.FIRST_SEEN, EventKind.SUPERSEDED]
        assert site.waiting() == [stable]
        assert waiting in site.superseded()
        assert site.watch.heads()["nova", Side.UPSTREAM].ref == "stable"

    def test_a_renamed_branch_goes_on(self, site: FakeSite) -> None:
        upstream = site.upstream()
        base = upstream.branches["master"]
        site.poll()
        upstream.set_branch("main", upstream.branches["master"])
        upstream.delete_branch("master")
        assert site.kinds() == [EventKind.BRANCH_GONE]
        new = upstream.commit("On main", branch="main")
        site.change(branch="main")
        assert site.kinds() == [EventKind.BRANCH_BACK, EventKind.NEW_COMMITS]
        assert site.waiting() == [base, new]

    def test_an_upstream_that_moved_goes_on(self, site: FakeSite) -> None:
        base = site.upstream().branches["master"]
        site.poll()
        moved = site.upstream()
        site.git.upstreams["https://elsewhere.example.org/nova"] = moved
        site.change(upstream="https://elsewhere.example.org/nova")
        new = moved.commit("Second")
        assert site.kinds() == [EventKind.NEW_COMMITS]
        assert site.waiting() == [base, new]
        assert url_of("nova") not in site.watch.remotes()


class TestPolicies:
    def test_only_the_newest(self) -> None:
        site = FakeSite(package(following=Following(commits=CommitPolicy.NEWEST)))
        first = site.upstream().branches["master"]
        site.poll()
        shas = [site.upstream().commit(f"Commit {number}") for number in range(3)]
        assert site.kinds() == [EventKind.NEW_COMMITS, EventKind.SUPERSEDED]
        assert site.waiting() == shas[-1:]
        assert site.superseded() == dict.fromkeys([first, *shas[:-1]], f"{shas[-1][:7]} is newer")
        assert {build.attempt for build in site.builds()} == {0}

    @pytest.mark.parametrize("cancels", [False, True])
    def test_a_newer_one_cancels_what_runs_only_on_request(self, cancels: bool) -> None:
        following = Following(commits=CommitPolicy.NEWEST, cancel_superseded=cancels)
        site = FakeSite(package(following=following))
        site.poll()
        site.run(site.builds()[0])
        site.upstream().commit("Second")
        site.poll()
        assert [build.id for build in site.queue.cancelling()] == ([1] if cancels else [])

    def test_what_a_person_asked_for_is_neither_superseded_nor_cancelled(self) -> None:
        following = Following(commits=CommitPolicy.NEWEST, cancel_superseded=True, max_waiting=1)
        site = FakeSite(package(following=following, targets=(DEB, RPM)))
        site.poll()
        (deb,), (rpm,) = site.builds(), site.builds(target=RPM)
        site.queue.prioritize(deb.id, Priority.REQUEST, "ann", site.clock.now())
        site.queue.prioritize(rpm.id, Priority.URGENT, "ann", site.clock.now())
        site.run(rpm)
        site.upstream().commit("Second")
        site.poll()
        assert [build.outcome for build in site.builds()] == [None, None]
        assert site.queue.cancelling() == ()

    def test_at_most_so_many_wait(self) -> None:
        site = FakeSite(package(following=Following(max_waiting=3)))
        first = site.upstream().branches["master"]
        site.poll()
        shas = [site.upstream().commit(f"Commit {number}") for number in range(2)]
        assert site.kinds() == [EventKind.NEW_COMMITS]
        shas += [site.upstream().commit(f"More {number}") for number in range(5)]
        site.poll()
        assert site.waiting() == shas[-3:]
        assert site.superseded().keys() == {first, *shas[:-3]}
        assert "max_waiting" in site.superseded()[first]

    def test_what_runs_does_not_wait(self) -> None:
        site = FakeSite(package(following=Following(max_waiting=1, cancel_superseded=True)))
        site.poll()
        site.run(site.builds()[0])
        sha = site.upstream().commit("Second")
        site.poll()
        assert site.waiting()[1:] == [sha]
        assert site.queue.cancelling() == ()

    def test_a_superseded_commit_that_is_wanted_again_is_built(self) -> None:
        site = FakeSite(package(following=Following(commits=CommitPolicy.NEWEST)))
        first = site.upstream().branches["master"]
        site.poll()
        site.upstream().commit("Second")
        site.poll()
        assert site.superseded().keys() == {first}
        again = site.upstream().commit("Other", parents=[])
        site.poll()
        site.upstream().set_branch("master", first)
        site.poll()
        assert site.waiting() == [first]
        assert site.superseded().keys() >= {again}
        assert len(site.builds()) == 3


class TestTagsOfThoseWhoFollowBranches:
    @pytest.fixture
    def site(self) -> FakeSite:
        site = FakeSite(package())
        upstream = site.upstream()
        upstream.tag("1.0", upstream.branches["master"])
        upstream.tag("1.1", upstream.commit("Second"))
        upstream.tag("nightly", upstream.branches["master"])
        return site

    def test_those_of_the_first_clone_are_no_news(self, site: FakeSite) -> None:
        assert site.kinds() == [EventKind.FIRST_SEEN]
        assert site.watch.tags(["nova"])["nova"].shas.keys() == {"1.0", "1.1"}
        assert site.kinds() == []

    def test_one_that_moves_or_goes_is_told_once_when_something_is_fetched(self, site: FakeSite) -> None:
        site.poll()
        upstream = site.upstream()
        first = upstream.tags["1.0"]
        gone = upstream.tags.pop("1.1")
        new = upstream.commit("Third")
        upstream.tag("1.0", new)
        upstream.tag("1.2", new)
        upstream.tag("nightly", new)
        events = site.poll()
        assert [event.kind for event in events] == [EventKind.TAG_MOVED, EventKind.TAG_GONE, EventKind.NEW_COMMITS]
        assert [(event.detail["tag"], event.detail["from"], event.detail["to"]) for event in events[:2]] == [
            ("1.0", first, new),
            ("1.1", gone, None),
        ]
        upstream.commit("Fourth")
        assert site.kinds() == [EventKind.NEW_COMMITS]

    def test_a_poll_asks_for_no_tags(self, site: FakeSite) -> None:
        site.poll()
        asked, fetched = len(site.git.asked), len(site.git.updated)
        site.upstream().tag("1.0", site.upstream().tags["1.1"])
        assert site.kinds() == []
        assert (len(site.git.asked) - asked, len(site.git.updated) - fetched) == (1, 0)

    def test_one_that_moved_while_nobody_looked_is_told_by_the_next_process(self, site: FakeSite) -> None:
        site.poll()
        site.upstream().tag("1.0", site.upstream().tags["1.1"])
        site.git.update(site.packages["nova"].upstream)  # as 'conveyor build' does
        site.restart()
        site.upstream().commit("Third")
        assert site.kinds() == [EventKind.TAG_MOVED, EventKind.NEW_COMMITS]
        site.restart()
        site.upstream().commit("Fourth")
        assert site.kinds() == [EventKind.NEW_COMMITS]

    def test_while_nothing_can_be_built_none_is_told(self, site: FakeSite) -> None:
        site.poll()
        del site.folders.recipes["nova"]
        site.upstream().tag("1.0", site.upstream().commit("Third"))
        assert EventKind.TAG_MOVED not in site.kinds()
        site.folders.recipes["nova"] = "first"
        assert site.kinds(LONG_AFTER) == [EventKind.TAG_MOVED, EventKind.NEW_COMMITS]

    def test_each_package_of_an_upstream_is_told(self) -> None:
        names = ("nova", "nova-next")
        site = FakeSite(*(package(name, url=url_of("nova")) for name in names))
        upstream = site.upstream()
        upstream.tag("1.0", upstream.branches["master"])
        site.poll()
        upstream.tag("1.0", upstream.commit("Second"))
        moved = [event.package for event in site.poll() if event.kind is EventKind.TAG_MOVED]
        assert sorted(moved) == [*names]

    def test_another_repository_begins_anew(self, site: FakeSite) -> None:
        site.poll()
        other = site.git.upstreams[url_of("other")] = copy.deepcopy(site.upstream())
        other.tag("1.0", other.commit("Third"))
        del other.tags["1.1"]
        site.change(upstream=url_of("other"))
        assert site.kinds() == [EventKind.NEW_COMMITS]
        other.tag("1.0", other.commit("Fourth"))
        assert site.kinds() == [EventKind.TAG_MOVED, EventKind.NEW_COMMITS]

    def test_another_repository_whose_branch_comes_later(self, site: FakeSite) -> None:
        site.poll()
        other = site.git.upstreams[url_of("other")] = copy.deepcopy(site.upstream())
        other.delete_branch("master")
        other.tags.clear()
        site.change(upstream=url_of("other"))
        assert site.kinds() == [EventKind.BRANCH_GONE]
        other.commit("Anew")
        assert EventKind.TAG_GONE not in site.kinds()

    def test_of_many_some_are_told_one_by_one(self, site: FakeSite) -> None:
        upstream = site.upstream()
        for number in range(300):
            upstream.tag(f"2.{number}", upstream.branches["master"])
        site.poll()
        new = upstream.commit("Third")
        for number in range(300):
            upstream.tag(f"2.{number}", new)
        moved = [event for event in site.poll() if event.kind is EventKind.TAG_MOVED]
        assert len(moved) == tidings.MOST_EVENTS + 1
        assert moved[-1].summary == "nova: 280 more tags were moved or are gone"
        assert (moved[-1].detail["count"], len(cast(list[str], moved[-1].detail["tags"]))) == (280, 200)

    def test_many_that_went(self, site: FakeSite) -> None:
        upstream = site.upstream()
        for number in range(30):
            upstream.tag(f"2.{number}", upstream.branches["master"])
        site.poll()
        upstream.tags.clear()
        upstream.commit("Third")
        assert site.kinds() == [*[EventKind.TAG_GONE] * (tidings.MOST_EVENTS + 1), EventKind.NEW_COMMITS]

    def test_names_are_hostile_text(self, site: FakeSite) -> None:
        upstream = site.upstream()
        for name in HOSTILE_NAMES:
            upstream.tag(name, upstream.branches["master"])
        site.poll()
        new = upstream.commit("Third")
        for name in HOSTILE_NAMES:
            upstream.tag(name, new)
        assert site.kinds() == [EventKind.NEW_COMMITS]
        assert site.watch.tags(["nova"])["nova"].shas.keys() == {"1.0", "1.1"}

    def test_who_no_longer_follows_tags_is_told_of_them(self, site: FakeSite) -> None:
        site.poll()
        site.change(following=Following(commits=CommitPolicy.TAGS))
        site.poll()
        site.change(following=Following())
        assert site.kinds() == []
        upstream = site.upstream()
        upstream.tag("1.0", upstream.commit("Third"))
        assert EventKind.TAG_MOVED in site.kinds()


class TestTags:
    @pytest.fixture
    def site(self) -> FakeSite:
        return FakeSite(package(following=Following(commits=CommitPolicy.TAGS)))

    def test_of_a_new_package_the_newest_version_is_built(self, site: FakeSite) -> None:
        upstream = site.upstream()
        upstream.tag("1.9.0", upstream.branches["master"])
        tagged = upstream.commit("Tagged")
        upstream.tag("v1.10.0", tagged)
        upstream.tag("nightly", upstream.commit("Later"))
        stable = upstream.commit("Stable", branch="stable", parents=[tagged])
        upstream.tag("2.0.0", stable)
        assert site.kinds() == [EventKind.FIRST_SEEN]
        assert site.waiting() == [tagged]
        assert site.watch.tags(["nova"])["nova"].shas.keys() == {"1.9.0", "v1.10.0", "2.0.0"}
        assert site.poll() == []

    def test_new_tags_are_built_in_the_order_of_their_versions(self, site: FakeSite) -> None:
        upstream = site.upstream()
        first = upstream.branches["master"]
        upstream.tag("1.0", first)
        site.poll()
        shas = [upstream.commit(f"Commit {number}") for number in range(3)]
        assert site.poll() == []
        assert site.waiting() == [first]
        upstream.tag("1.10", shas[2])
        upstream.tag("1.9", shas[1])
        upstream.tag("draft", shas[0])
        (event,) = site.poll()
        assert (event.kind, event.detail["tags"]) == (EventKind.NEW_COMMITS, ["1.9", "1.10"])
        assert site.waiting() == [first, shas[1], shas[2]]
        reasons = [site.store.reason(build.id)[1] for build in site.builds()[1:]]
        assert [(reason.kind, reason.detail) for reason in reasons] == [
            (ReasonKind.NEW_TAG, "1.9"),
            (ReasonKind.NEW_TAG, "1.10"),
        ]

    def test_a_tag_that_is_there_before_its_commit_is_on_the_branch(self, site: FakeSite) -> None:
        upstream = site.upstream()
        upstream.tag("1.0", upstream.branches["master"])
        site.poll()
        tip = upstream.branches["master"]
        release = upstream.commit("Release", branch="release", parents=[tip])
        upstream.tag("1.1", release)
        assert site.poll() == []
        upstream.set_branch("master", release)
        assert site.kinds() == [EventKind.NEW_COMMITS]
        assert site.waiting()[1:] == [release]

    def test_a_tag_that_moves_or_goes_is_told(self, site: FakeSite) -> None:
        upstream = site.upstream()
        first, second = upstream.branches["master"], upstream.commit("Second")
        upstream.tag("1.0", first)
        upstream.tag("1.1", second)
        site.poll()
        site.end()
        upstream.tag("1.0", second)
        del upstream.tags["1.1"]
        gone = site.poll()
        assert [event.kind for event in gone] == [EventKind.TAG_MOVED, EventKind.TAG_GONE, EventKind.NEW_COMMITS]
        assert (gone[0].detail["tag"], gone[0].detail["from"], gone[0].detail["to"]) == ("1.0", first, second)
        assert len(site.builds()) == 1
        assert site.poll() == []

    def test_a_moved_tag_builds_what_was_never_built(self, site: FakeSite) -> None:
        upstream = site.upstream()
        upstream.tag("1.0", upstream.branches["master"])
        site.poll()
        site.end()
        new = upstream.commit("Second")
        upstream.tag("1.0", new)
        assert site.kinds() == [EventKind.TAG_MOVED, EventKind.NEW_COMMITS]
        assert site.waiting() == [new]

    def test_a_repository_without_versions(self, site: FakeSite) -> None:
        assert site.kinds() == [EventKind.FIRST_SEEN]
        assert site.builds() == []
        assert site.poll() == []
        first = site.upstream().branches["master"]
        site.upstream().tag("1.0", first)
        assert site.kinds() == []
        assert site.waiting() == [first]

    def test_packaging_builds_the_newest_version_again(self, site: FakeSite) -> None:
        first = site.upstream().branches["master"]
        site.upstream().tag("1.0", first)
        site.upstream().commit("Second")
        site.poll()
        site.end()
        site.folders.recipes["nova"] = "second"
        site.poll()
        assert site.waiting() == [first]

    def test_one_who_begins_to_follow_tags_gets_no_old_ones(self) -> None:
        site = FakeSite(package())
        upstream = site.upstream()
        for number in range(5):
            upstream.tag(f"1.{number}", upstream.commit(f"Commit {number}"))
        upstream.commit("Later")
        site.poll()
        site.end()
        site.change(following=Following(commits=CommitPolicy.TAGS))
        assert site.kinds() == []
        assert site.waiting() == [upstream.tags["1.4"]]

    def test_names_are_hostile_text(self, site: FakeSite) -> None:
        upstream = site.upstream()
        first = upstream.branches["master"]
        for name in HOSTILE_NAMES:
            upstream.tag(name, first)
        site.poll()
        assert site.builds() == []
        assert site.watch.tags(["nova"])["nova"].shas == {}


class TestUnreachable:
    def test_one_that_does_not_answer_is_asked_less_and_less(self, site: FakeSite) -> None:
        site.git.failures[url_of("nova")] = UpstreamUnreachable("no answer", cause="it is gone")
        waits = []
        for _ in range(9):
            site.poll(LONG_AFTER)
            remote = site.watch.remotes()[url_of("nova")]
            assert remote.polled_at is not None
            waits.append((remote.next_at - remote.polled_at).total_seconds() / 45)
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_it_is_told_once_after_some_failures_and_again_when_it_answers(self, site: FakeSite) -> None:
        site.poll()
        site.git.failures[url_of("nova")] = UpstreamUnreachable("no answer", cause="it is gone")
        events = [site.poll(LONG_AFTER) for _ in range(6)]
        assert [len(some) for some in events] == [0, 0, 1, 0, 0, 0]
        (event,) = events[2]
        assert (event.kind, event.package, event.detail["cause"]) == (EventKind.UNREACHABLE, "nova", "it is gone")
        site.restart()
        site.git.failures.clear()
        (event,) = site.poll(LONG_AFTER)
        assert (event.kind, event.detail["failures"]) == (EventKind.REACHABLE, 6)
        assert site.watch.remotes()[url_of("nova")].failures == 0

    def test_a_fetch_that_fails_moves_nothing(self, site: FakeSite) -> None:
        site.poll()
        before = site.watch.heads()
        new = site.upstream().commit("Second")
        site.git.unfetchable[url_of("nova")] = UpstreamUnreachable("no answer")
        assert site.poll() == []
        assert site.watch.heads() == before
        assert site.watch.remotes()[url_of("nova")].failures == 1
        site.git.unfetchable.clear()
        assert site.kinds(LONG_AFTER) == [EventKind.NEW_COMMITS]
        assert site.waiting()[1:] == [new]

    def test_a_server_that_tells_of_a_commit_that_it_does_not_have(self, site: FakeSite) -> None:
        site.poll()
        site.upstream().branches["master"] = "f" * 40
        assert site.poll() == []
        remote = site.watch.remotes()[url_of("nova")]
        assert (remote.failures, "has no commit" in remote.cause) == (1, True)

    def test_a_host_that_does_not_answer_is_left_alone(self) -> None:
        names = [f"package{number}" for number in range(20)]
        site = FakeSite(*(package(name) for name in names), package("other", url="https://other.example.org/x"))
        for name in names:
            site.git.failures[url_of(name)] = HostUnreachable("no answer")
        site.poll()
        assert len(site.git.asked) < 10
        assert site.waiting("other")
        assert len(site.watch.remotes()) == 2 * len(names) + 2
        site.git.asked.clear()
        site.poll(SECOND)
        assert site.git.asked == []
        site.git.failures.clear()
        for _ in range(4):
            site.poll(LONG_AFTER)
        assert all(site.waiting(name) for name in names)

    def test_a_repository_that_is_not_there_says_nothing_of_its_host(self) -> None:
        names = [f"package{number}" for number in range(20)]
        site = FakeSite(*(package(name) for name in names))
        for name in names[:10]:
            site.git.failures[url_of(name)] = UpstreamUnreachable("not found")
        site.poll()
        assert len(site.git.asked) == 20
        assert all(site.waiting(name) for name in names[10:])


class TestPokes:
    def test_a_poke_makes_a_package_due_at_once_and_is_answered(self, site: FakeSite) -> None:
        site.poll()
        new = site.upstream().commit("Second")
        assert site.poll(SECOND) == []
        site.watch.poke(["nova", "unknown"], "ann", site.clock.now())
        assert site.kinds(SECOND) == [EventKind.NEW_COMMITS]
        assert site.waiting()[1:] == [new]
        assert site.watch.pokes() == ()

    def test_a_poke_asks_one_that_does_not_answer(self, site: FakeSite) -> None:
        site.git.failures[url_of("nova")] = HostUnreachable("no answer")
        for _ in range(5):
            site.poll(LONG_AFTER)
        site.git.failures.clear()
        site.watch.poke(["nova"], "ann", site.clock.now())
        site.poll(SECOND)
        assert len(site.builds()) == 1
        assert site.watch.pokes() == ()

    def test_a_poke_that_fails_is_answered(self, site: FakeSite) -> None:
        site.git.failures[url_of("nova")] = UpstreamUnreachable("no answer")
        site.watch.poke(["nova"], "ann", site.clock.now())
        site.poll(SECOND)
        assert site.watch.pokes() == ()

    def test_a_poke_is_not_answered_by_what_was_asked_before_it(
        self, site: FakeSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site.poll()
        first = site.upstream().branches["master"]
        refs, has_answer, may_arrive = site.git.refs, threading.Event(), threading.Event()

        def refs_late(url: str, *, branches: Collection[str] | None = None, tags: bool = True) -> RemoteRefs:
            answer = refs(url, branches=branches, tags=tags)
            has_answer.set()
            may_arrive.wait(10)
            return answer

        monkeypatch.setattr(site.git, "refs", refs_late)
        watcher = site.started(patience=0.05)
        site.clock.advance(LATER)
        watcher.poll(site.clock.now())
        assert has_answer.wait(10)
        second = site.upstream().commit("Second")
        site.watch.poke(["nova"], "ann", site.clock.now())
        watcher.poll(site.clock.now())
        may_arrive.set()
        wait_for(lambda: watcher.poll(site.clock.now()) == 0 and not site.watch.pokes(), "the poke to be answered")
        assert site.waiting() == [first, second]

    def test_a_newer_poke_is_another_one(self, site: FakeSite) -> None:
        site.poll()
        for _ in range(2):
            site.git.asked.clear()
            site.watch.poke(["nova"], "ann", site.clock.now())
            site.poll(SECOND)
            assert site.git.asked == [url_of("nova")]


class TestTogether:
    def test_one_url_is_asked_once(self) -> None:
        shared = PackagingRepository(url="https://git.example.org/all-packaging", branch="master")
        site = FakeSite(
            package("nova", packaging=shared), package("twin", url=url_of("nova")), package("glance", packaging=shared)
        )
        site.poll()
        assert sorted(site.git.asked) == sorted([url_of("nova"), url_of("glance"), shared.url])
        assert sorted(site.git.updated) == sorted(site.git.asked)
        assert all(len(site.builds(name)) == 1 for name in site.packages)
        site.upstream("nova").commit("Second")
        site.poll()
        assert len(site.builds("nova")) == len(site.builds("twin")) == 2

    def test_intervals(self) -> None:
        often, seldom = Following(interval=60), Following(interval=86400)
        site = FakeSite(
            package("often", following=often),
            package("seldom", following=seldom),
            package("eager", url=url_of("seldom-too"), following=often),
            package("lazy", url=url_of("seldom-too"), following=seldom),
        )
        site.poll()
        site.poll()
        site.git.asked.clear()
        for _ in range(4):
            site.poll(timedelta(seconds=61))
        assert site.git.asked.count(url_of("often")) == site.git.asked.count(url_of("seldom-too")) == 4
        assert site.git.asked.count(url_of("seldom")) == 0

    def test_a_package_that_is_removed(self) -> None:
        site = FakeSite(package("nova"), package("glance"))
        site.poll()
        site.end()
        site.upstream("nova").commit("Second")
        site.poll()
        running, waiting = site.upstream("nova").commit("Third"), site.builds("nova")[-1]
        site.run(waiting)
        site.poll()
        assert site.waiting("nova")[-1] == running
        del site.packages["nova"]
        site.watcher.follow(dict(site.packages))
        (event,) = site.poll()
        assert (event.kind, event.package) == (EventKind.PACKAGE_REMOVED, "nova")
        assert site.superseded("nova") == {running: "nova is not in repos.yaml any more"}
        assert site.store.build(waiting.id).state is State.RUNNING
        assert {name for name, _ in site.watch.heads()} == {"glance"}
        assert site.watch.remotes().keys() == {url_of("glance"), "/specs/glance"}
        site.restart()
        assert site.poll() == []

    def test_a_package_that_is_removed_and_added_again(self, site: FakeSite) -> None:
        first = site.upstream().branches["master"]
        site.poll()
        nova = site.packages.pop("nova")
        site.watcher.follow({})
        site.poll()
        assert site.waiting() == []
        site.packages["nova"] = nova
        site.watcher.follow(dict(site.packages))
        assert site.kinds() == [EventKind.FIRST_SEEN]
        assert site.waiting() == [first]

    def test_the_next_poll(self, site: FakeSite) -> None:
        assert site.watcher.next_due() <= site.clock.now()  # type: ignore[operator]
        site.poll()
        due = site.watcher.next_due()
        assert due is not None
        assert due > site.clock.now()
        empty = FakeSite()
        empty.poll()
        assert empty.watcher.next_due() is None

    def test_how_many_were_asked(self) -> None:
        site = FakeSite(package("nova"), package("glance"))
        assert site.watcher.poll(site.clock.now()) == 4
        assert site.watcher.poll(site.clock.now()) == 0


class Broken(ConveyorError):
    """What a test breaks something with."""


class TestKilled:
    @pytest.mark.parametrize("after", [0, 1])
    def test_a_store_that_fails_costs_nothing(
        self, site: FakeSite, after: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As if the process had been killed before or after the change."""
        site.upstream().tag("1.0", site.upstream().branches["master"])
        site.poll()
        new = site.upstream().commit("Second")
        site.upstream().tag("1.0", new)
        apply = site.queue.apply

        def fail(*arguments: object) -> None:
            if after:
                apply(*arguments)  # type: ignore[arg-type]
            raise StoreUnusable("the disk is gone")

        monkeypatch.setattr(site.queue, "apply", fail)
        site.clock.advance(LATER)
        with pytest.raises(StoreUnusable):
            site.watcher.poll(site.clock.now())
        monkeypatch.undo()
        assert site.kinds(SECOND) == [EventKind.TAG_MOVED, EventKind.NEW_COMMITS]
        assert site.waiting()[1:] == [new]
        assert len(site.builds()) == 2

    def test_a_poll_that_was_not_written_down_is_made_again(
        self, site: FakeSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise StoreUnusable("the disk is gone")

        monkeypatch.setattr(site.watch, "polled", fail)
        with pytest.raises(StoreUnusable):
            site.watcher.poll(site.clock.now())
        monkeypatch.undo()
        site.watcher = site.started()
        site.poll(SECOND)
        assert len(site.builds()) == 1
        assert site.kinds(SECOND) == []

    def test_a_defect_in_one_package_is_raised_and_keeps_no_other_waiting(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = FakeSite(package("glance"), package("nova"), package("cinder"))
        refs = site.git.refs

        def refuse(url: str, **more: object) -> object:
            if "nova" in url:
                raise RuntimeError("this cannot be")
            return refs(url, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(site.git, "refs", refuse)
        with pytest.raises(RuntimeError, match="this cannot be"):
            site.poll()
        assert site.waiting("glance")
        assert site.waiting("cinder")
        assert "this cannot be" in site.watch.remotes()[url_of("nova")].cause
        site.news()
        assert site.poll(SECOND) == []
        monkeypatch.undo()
        site.poll(LONG_AFTER)
        assert site.waiting("nova")

    def test_repos_yaml_that_changes_while_a_server_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        site = FakeSite(package("nova"), package("gone"))
        free = threading.Event()
        refs = site.git.refs

        def slowly(url: str, **more: object) -> object:
            answer = refs(url, **more)  # type: ignore[arg-type]
            free.wait(20)
            return answer

        monkeypatch.setattr(site.git, "refs", slowly)
        site.watcher = site.started(patience=0.05)
        site.poll()
        del site.packages["gone"]
        site.upstream().commit("On stable", branch="stable")
        site.change(branch="stable")
        site.poll(SECOND)
        free.set()
        while not site.waiting():
            site.poll(SECOND)
        site.poll()
        assert EventKind.BRANCH_GONE not in {event.kind for event in site.events.after(0)}
        assert site.waiting() == [site.upstream().branches["stable"]]
        assert site.builds("gone") == []

    def test_it_stops_when_it_is_told_to(self, site: FakeSite) -> None:
        stop = threading.Event()
        stop.set()
        watcher = site.started(stop=stop)
        watcher.poll(site.clock.now())
        watcher.close()
        assert site.builds() == []
        site.poll()
        assert len(site.builds()) == 1

    def test_one_that_hangs_holds_nobody_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        site = FakeSite(package("nova"), package("slow", url="https://slow.example.org/slow"))
        free = threading.Event()
        refs = site.git.refs

        def slowly(url: str, **more: object) -> object:
            if "slow" in url:
                free.wait(20)
            return refs(url, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(site.git, "refs", slowly)
        site.watch.poke(["slow"], "ann", site.clock.now())
        site.watcher = site.started(patience=0.2)
        site.poll()
        while not site.waiting("nova"):
            site.poll(SECOND)
        assert site.waiting("slow") == []
        assert len(site.watch.pokes()) == 1
        assert site.watcher.next_due() <= site.clock.now()  # type: ignore[operator]
        free.set()
        while not site.waiting("slow"):
            site.poll(SECOND)
        assert site.watch.pokes() == ()

    def test_it_looks_far_enough_back_for_builds_that_wait(self, site: FakeSite) -> None:
        site.poll()
        shas = [site.upstream().commit(f"Commit {number}") for number in range(3 * LOOKED_AT)]
        site.poll()
        site.change(following=Following(max_waiting=2))
        newest = site.upstream().commit("Newest")
        site.poll()
        assert site.waiting() == [shas[-1], newest]
        assert len(site.superseded()) == len(shas)
        assert {build.outcome for build in site.builds()} == {None, Outcome.SUPERSEDED}


def test_builds_that_a_backup_of_the_store_does_not_have_are_forgotten(site: FakeSite) -> None:
    assert isinstance(site.store, MemoryStore)
    site.poll()
    unfinished = UnfinishedBuilds(site.queue, site.store)
    backup, number = copy.deepcopy(site.store.records), site.store.changes
    site.upstream().commit("Second")
    site.poll()
    unfinished.refresh()
    assert len(unfinished.of("nova")) == 2
    site.store.records, site.store.changes = backup, number
    unfinished.refresh()
    assert [build.build for build in unfinished.of("nova")] == [1]
