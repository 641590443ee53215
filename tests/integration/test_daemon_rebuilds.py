"""The real daemon, with workers that build quickly: what is built once more, and what is built first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from conveyor.formats.deb.toolchain import DebToolchain
from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.queue import ReasonKind
from conveyor.upstream.stamps import SETTLE_SECONDS
from tests.support.daemons import QuickSite, site_of
from tests.support.site import CONTROL, DEB, PACKAGING, wait_for
from tests.support.upstream import GitUpstream

pytestmark = pytest.mark.integration

LIB, TOOL, APP = "trunk-lib", "trunk-tool", "trunk-app"


class RebuildSite(QuickSite):
    """A site of packages that build-depend on each other."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.packages.clear()

    def package(self, name: str, needs: str = "", **options: str) -> GitUpstream:
        """One more package, with what its packaging build-depends on, and keys of repos.yaml."""
        upstream = self.add(name)
        keys = "".join(f", {key}: {value}" for key, value in options.items())
        self.packages[name] = f'{{upstream: "{upstream.url}", packaging: specs/{name}{keys}}}'
        for path, text in PACKAGING.items():
            if path.startswith("debian/"):
                self.packaging(path, text, name)
        field = f"Build-Depends: base-files{needs}\n"
        self.packaging("debian/control.j2", CONTROL.replace("Standards", f"{field}Standards"), name)
        self.commit_packaging()
        self.configure()
        return upstream

    def once(self, env: Mapping[str, str] | None = None) -> int:
        """One pass of the daemon, which takes up packaging only once it was left alone for a moment."""
        written = max(path.stat().st_ctime for path in (self.folder / "specs").rglob("*"))
        wait_for(lambda: time.time() - written > SETTLE_SECONDS, "packaging to be left alone")
        return super().once(env)

    def builds(self, package: str) -> list[Build]:
        """A package's builds, the oldest first."""
        with self.books() as books:
            return list(reversed(books.store.builds(package=package)))

    def quiet(self, packages: int) -> None:
        """Wait until nothing waits or runs, and these many packages are in the trunk."""

        def is_quiet() -> bool:
            with self.books() as books:
                return not books.queue.sizes() and len(books.store.newest_builds(DEB)) == packages

        wait_for(is_quiet, "an end of builds", 60)

    def reason(self, build: Build) -> tuple[ReasonKind, int | None, int]:
        """Why a build is there, what led to it, and how many did."""
        with self.books() as books:
            reason = books.store.reason(build.id)[1]
            return reason.kind, reason.build, reason.cascade


@pytest.fixture
def site() -> Iterator[RebuildSite]:
    with site_of(RebuildSite) as made:
        yield made


class TestRebuilds:
    def test_what_builds_with_it_is_built_anew_in_order_and_published_above(self, site: RebuildSite) -> None:
        lib = site.package(LIB)
        site.package(TOOL, f", {LIB}", rebuild="always")
        site.package(APP, f", {TOOL}, {LIB}", rebuild="always")
        assert site.once() == 0
        assert [len(site.builds(name)) for name in (LIB, TOOL, APP)] == [1, 1, 1]
        site.push("sleep 0", upstream=lib)
        assert site.once() == 0
        changed = site.builds(LIB)[-1]
        (first, rebuilt) = site.builds(TOOL)
        assert site.reason(rebuilt) == (ReasonKind.DEPENDENCY, changed.id, 1)
        assert rebuilt.commit == first.commit.rebuilt(1)
        assert (rebuilt.outcome, rebuilt.published) == (Outcome.SUCCEEDED, True)
        assert DebToolchain().compare(str(rebuilt.version), str(first.version)) > 0
        (_, last) = site.builds(APP)
        assert last.started_at is not None
        assert rebuilt.finished_at is not None
        assert last.started_at >= rebuilt.finished_at
        with site.books() as books:
            made = books.store.provenance(last.id)
            assert made is not None
            assert f"{TOOL}={rebuilt.version}:all" in map(str, made.buildroot or ())
        assert site.once() == 0
        assert [len(site.builds(name)) for name in (LIB, TOOL, APP)] == [2, 2, 2]

    def test_by_hand(self, site: RebuildSite) -> None:
        site.package(LIB)
        site.package(TOOL, f", {LIB}")
        assert site.once() == 0
        assert "waits to be built anew" in site.run("rebuild", TOOL, LIB).out
        assert site.once() == 0
        assert [[build.commit.rebuild for build in site.builds(name)] for name in (LIB, TOOL)] == [[0, 1], [0, 1]]
        assert all(site.builds(name)[-1].published for name in (LIB, TOOL))

    def test_only_an_interface_that_goes_matters_to_the_policy_abi(self, site: RebuildSite) -> None:
        lib = site.package(LIB)
        site.push("provides lib-abi-1", upstream=lib)
        site.package(TOOL, f", {LIB}", rebuild="abi")
        daemon = site.daemon()
        site.quiet(2)
        site.push("provides lib-abi-1,lib-more", upstream=lib)
        site.run("poll", LIB)
        wait_for(lambda: len(site.builds(LIB)) == 2, "the next build of the library")
        site.in_the_trunk(site.builds(LIB)[-1].id)
        site.push("provides lib-abi-2", upstream=lib)
        site.run("poll", LIB)
        wait_for(lambda: len(site.builds(TOOL)) == 2, "the rebuild")
        rebuilt = site.in_the_trunk(site.builds(TOOL)[-1].id)
        assert daemon.stop() == 0
        assert [site.reason(rebuilt)[1], len(site.builds(TOOL))] == [site.builds(LIB)[2].id, 2]

    def test_a_cascade_ends(self, site: RebuildSite) -> None:
        (site.folder / "conveyor.toml").write_text("[signing]\nunsigned = true\n[daemon]\ncascade_limit = 2\n")
        lib = site.package(LIB, ", lib-other | base-files", rebuild="always")
        site.package(TOOL, f", {LIB}", rebuild="always")
        assert site.once() == 0
        site.packaging(
            "debian/control.j2", CONTROL.replace("Standards", f"Build-Depends: {TOOL}\nStandards"), package=LIB
        )
        site.commit_packaging()
        site.push("sleep 0", upstream=lib)
        assert site.once() == 0
        (stopped,) = site.events(EventKind.CASCADE_STOPPED)
        assert "2 rebuilds led to one another" in stopped.summary
        count = [len(site.builds(name)) for name in (LIB, TOOL)]
        assert site.once() == 0
        assert [len(site.builds(name)) for name in (LIB, TOOL)] == count
        assert len(site.events(EventKind.CASCADE_STOPPED)) == 1

    def test_a_kill_loses_no_rebuild(self, site: RebuildSite) -> None:
        lib = site.package(LIB)
        site.package(TOOL, f", {LIB}", rebuild="always")
        assert site.once() == 0
        site.push("sleep 1", upstream=lib)
        (number,) = site.queue(LIB)
        daemon = site.daemon("--no-poll")
        site.wait(number, lambda build: build.state is State.RUNNING, "the library's build")
        daemon.kill()
        assert site.once() == 0
        assert site.builds(TOOL)[-1].published
        assert len(site.builds(TOOL)) == 2

    def test_what_was_not_there_yet_is_waited_for_whatever_the_policy(self, site: RebuildSite) -> None:
        site.package(TOOL, f", {LIB}")
        assert site.once() == 1
        (failed,) = site.builds(TOOL)
        assert failed.cause is not None
        assert failed.cause.kind == "BuildDependencyMissing"
        site.package(LIB)
        assert site.once() == 0
        (built,) = site.builds(TOOL)
        assert (built.id, built.outcome, built.attempt) == (failed.id, Outcome.SUCCEEDED, 2)
        assert site.reason(built)[:2] == (ReasonKind.DEPENDENCY, site.builds(LIB)[0].id)


class TestBootstrap:
    def test_a_circle_is_built_from_nothing(self, site: RebuildSite) -> None:
        site.package(LIB, f"{{{{ '' if bootstrap else ', {TOOL}' }}}}", bootstrap="true")
        site.package(TOOL, f", {LIB}")
        assert site.once() == 0
        (first, full) = site.builds(LIB)
        (tool,) = site.builds(TOOL)
        assert [each.outcome for each in (first, tool, full)] == [Outcome.SUCCEEDED] * 3
        assert site.reason(full)[:2] == (ReasonKind.BOOTSTRAP, tool.id)
        assert full.published
        with site.books() as books:
            made = [books.store.provenance(each.id) for each in (first, full)]
        assert [each.bootstrap for each in made if each] == [True, False]
        assert "built without trunk-tool" in (site.data / str(first.log)).read_text()
        assert site.once() == 0
        assert len(site.builds(LIB)) == 2
        site.push("sleep 0", upstream=site.upstreams[LIB])
        assert site.once() == 0
        with site.books() as books:
            newest = books.store.provenance(site.builds(LIB)[-1].id)
        assert newest is not None
        assert not newest.bootstrap

    def test_a_kill_between_does_not_leave_it_so(self, site: RebuildSite) -> None:
        site.package(LIB, f"{{{{ '' if bootstrap else ', {TOOL}' }}}}", bootstrap="true")
        tool = site.package(TOOL, f", {LIB}")
        site.push("sleep 1", upstream=tool)
        daemon = site.daemon()
        wait_for(lambda: site.builds(TOOL) and site.builds(TOOL)[0].state is State.RUNNING, "the other's build", 60)
        daemon.kill()
        assert site.once() == 0
        assert [build.outcome for build in site.builds(LIB)] == [Outcome.SUCCEEDED] * 2

    def test_a_circle_without_a_way_in_is_told_once(self, site: RebuildSite) -> None:
        site.package(LIB, f", {TOOL}")
        site.package(TOOL, f", {LIB}")
        assert site.once() == 1
        assert site.once() == 0
        (told,) = site.events(EventKind.CYCLE)
        assert f"{LIB} and {TOOL} build-depend on each other" in told.summary
