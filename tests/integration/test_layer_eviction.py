"""The size limit of layers: what goes, what stays because somebody uses it, and a kill in the middle."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from conveyor.buildroot.overlay.eviction import Eviction
from conveyor.buildroot.overlay.layers import Stack
from conveyor.buildroot.overlay.leases import last_used, lease, unused, users
from tests.fakes.processes import ended, spawn, wait_for
from tests.support.roots import fill_root, need_sandbox
from tests.support.touched import Site
from tests.support.workshop import TARGET

pytestmark = pytest.mark.integration

EVERYTHING = 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    need_sandbox()
    fill_root(tmp_path / "root")
    return tmp_path


@pytest.fixture
def site(data: Path) -> Site:
    return Site(data)


@pytest.fixture
def eviction(site: Site) -> Eviction:
    return Eviction(site.store, site.jobs, limit=10**12)


def ids(site: Site) -> set[str]:
    return {path.name for path in site.store.layers.iterdir()}


def use(site: Site, stack: Stack, at: float) -> None:
    for layer in stack.layers:
        os.utime(site.store.layers / layer / "used", (at, at))


def sizes(site: Site) -> dict[str, int]:
    return {layer.id: layer.size or 0 for layer in site.store.known()}


def made(site: Site, *names: str) -> tuple[str, ...]:
    """A stack with these packages, made from scratch, that nobody uses."""
    site.manager.resolvable = False
    return site.satisfy(*names).layers


class TestOrder:
    def test_what_was_not_used_for_longest_goes_first(self, site: Site, eviction: Eviction) -> None:
        stacks = [made(site, name) for name in ("a", "b", "c")]
        for at, layers in zip((200, 100, 300), stacks, strict=True):
            os.utime(site.store.layers / layers[0] / "used", (at, at))
        total = sum(sizes(site).values())
        freed = eviction.prune(total - 1)
        assert ids(site) == {stacks[0][0], stacks[2][0], stacks[0][1]}
        assert freed == total - sum(sizes(site).values())

    def test_what_is_below_a_layer_that_stays_stays(self, site: Site, eviction: Eviction) -> None:
        made(site, "a")
        held = site.satisfy("a", "b")
        eviction.prune(EVERYTHING)
        assert ids(site) == set(held.layers)

    def test_nothing_goes_within_the_limit(self, site: Site, eviction: Eviction) -> None:
        made(site, "a")
        before = ids(site)
        assert eviction() == 0
        assert ids(site) == before

    def test_a_stack_that_is_used_again_is_younger_than_one_that_is_not(self, site: Site) -> None:
        first = site.satisfy("a")
        use(site, first, 100)
        again = site.satisfy("a")
        assert min(last_used(site.store.layers / layer) for layer in again.layers) > time.time() - 60

    def test_what_was_evicted_is_made_again_and_its_answer_forgotten(self, site: Site, eviction: Eviction) -> None:
        layers = made(site, "a")
        eviction.prune(EVERYTHING)
        assert ids(site) == set()
        assert list((site.store.folder / "resolutions").iterdir()) == []
        assert list((site.jobs_folder).iterdir()) == []
        assert site.satisfy("a").layers == layers

    def test_layers_whose_records_are_damaged_go(self, site: Site, eviction: Eviction) -> None:
        layers = made(site, "a")
        (site.store.layers / layers[0] / "layer.json").write_bytes(b"\0")
        assert eviction.prune(10**12) > 0
        assert ids(site) == set(layers[1:])

    def test_downloads_have_a_part_of_the_limit_and_the_oldest_go(self, site: Site, eviction: Eviction) -> None:
        cache = site.store.cache(TARGET.name)
        for number in range(8):
            (cache / f"{number}.deb").write_bytes(b"x" * 4096)
            os.utime(cache / f"{number}.deb", (number, number))
            time.sleep(0.01)
        eviction.prune(8 * 2 * 4096)
        assert sorted(path.name for path in cache.iterdir()) == ["6.deb", "7.deb"]

    def test_downloads_of_a_target_whose_layers_are_made_now_stay(self, site: Site, eviction: Eviction) -> None:
        file = site.store.cache(TARGET.name) / "a.deb"
        file.write_bytes(b"x" * 4096)
        with site.store.making(TARGET.name):
            assert eviction.prune(EVERYTHING) == 0
        assert file.exists()
        assert eviction.prune(EVERYTHING) > 0

    def test_making_layers_keeps_to_the_limit(self, data: Path) -> None:
        site = Site(data, limit=1)
        made(site, "a")
        last = site.satisfy("b")
        assert ids(site) == set(last.layers)


class TestLease:
    def test_a_layer_in_use_by_another_process_stays_until_that_dies(self, site: Site, eviction: Eviction) -> None:
        layers = made(site, "a")
        data = site.store.folder.parent

        def work() -> None:
            stack = site.store.load(layers)
            (data / "holds").touch()
            time.sleep(600)
            assert stack

        worker = spawn(work)
        wait_for(data / "holds")
        assert users(site.store.layers / layers[0]) == (worker,)
        eviction.prune(EVERYTHING)
        assert ids(site) == set(layers)
        os.kill(worker, signal.SIGKILL)
        assert ended(worker) == -signal.SIGKILL
        eviction.prune(EVERYTHING)
        assert ids(site) == set()

    def test_a_layer_that_is_being_removed_cannot_be_used(self, site: Site) -> None:
        (layer,) = (site.store.layers / made(site)[0],)
        data = site.store.folder.parent

        def work() -> None:
            wait_for(data / "locked")
            (data / "waits").touch()
            assert lease([layer]) is None

        # A process that is made while the lock is held would hold it too.
        worker = spawn(work)
        with unused(layer) as free:
            assert free
            (data / "locked").touch()
            wait_for(data / "waits")
            time.sleep(0.2)
            layer.rename(data / "gone")
        assert ended(worker) == 0

    def test_one_that_is_gone_is_told(self, site: Site) -> None:
        layers = made(site, "a")
        assert lease([site.store.layers / layers[0], site.store.layers / "gone"]) is None
        assert users(site.store.layers / layers[0]) == ()
        with unused(site.store.layers / "gone") as free:
            assert not free


def test_builds_and_evictions_at_once_never_meet_half_a_layer(data: Path) -> None:
    """Each worker gets stacks whose files are there for as long as it holds them, while others remove all they can."""

    def build(number: int) -> None:
        site = Site(data, limit=1)
        wait_for(data / "go")
        for turn in range(4):
            name = f"p{(number + turn) % 3}"
            stack = site.satisfy(name)
            assert (site.root_of(stack) / "packages" / name).exists() or len(stack.layers) > 2
            assert all((site.store.layers / layer / "root").is_dir() for layer in stack.layers)

    def evict() -> None:
        site = Site(data)
        eviction = Eviction(site.store, site.jobs, limit=1)
        wait_for(data / "go")
        while not (data / "stop").exists():
            eviction.prune(EVERYTHING)

    evictor = spawn(evict)
    builders = [spawn(lambda number=number: build(number)) for number in range(2)]  # type: ignore[misc]
    (data / "go").touch()
    assert [ended(builder) for builder in builders] == [0, 0]
    (data / "stop").touch()
    assert ended(evictor) == 0
    assert list((data / "jobs").iterdir()) == []


def test_a_kill_while_removing_leaves_what_the_next_start_removes(data: Path) -> None:
    site = Site(data)
    layers = made(site, "a")

    def work() -> None:
        eviction = Eviction(site.store, site.jobs, limit=1)
        site.store.forget = lambda: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        eviction.prune(EVERYTHING)

    with site.jobs.folder() as job:
        (site.store.layers / layers[0]).rename(job / "layer")
        assert site.store.load(layers) is None
    worker = spawn(work)
    assert ended(worker) == -signal.SIGKILL
    site.jobs.sweep()
    assert list((data / "jobs").iterdir()) == []
    assert site.satisfy("a").layers == layers
