"""All claims, not measured yet: what of ours, against whom, and what is allowed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import bare, gitserver, mock, processes
from bench.claims import Budget, Claim
from bench.dlrn import Dlrn, Figures
from bench.history import BUILDS
from bench.latency import Latency
from bench.mock import Mock
from bench.pages import BUDGET_MS, PATHS, Pages
from bench.pages import BUILDS as SHOWN_BUILDS
from bench.pages import PACKAGES as SHOWN_PACKAGES
from bench.pbuilder import Pbuilder
from bench.polling import Polling
from bench.publishing import BYTES, FIRST, INODES, MEMORY, Publishing
from bench.scheduling import FAIR_SELECT, HEAP, NOBODY, OURS, SELECT, Scheduling
from bench.scheduling import MEMORY as QUEUE_MEMORY
from bench.series import Comparison, Peer, Sample, Series
from bench.site import with_builder
from bench.workshop import Made, Workshop
from conveyor.model.target import BuilderKind, Format, Target

DEB = "debian-13-amd64"
RPM = "local-1-x86_64"
BUILDERS = {DEB: BuilderKind.PBUILDER.value, RPM: BuilderKind.MOCK.value}
LIBRARY = "oslo.utils"
SERVICE = "nova"
# A dependency of the library, which is built here too.
DEPENDENCY = "oslo.i18n"
# No dependency of the library; it brings four more.
ANOTHER = "python3-fixtures"
MEBIBYTES = "MiB"
MICROSECONDS = "us"
# So many packages a trunk has that is published.
TRUNKS = (100, 1000, 5000)
BUDGETED = 1000
# Every package has some builds in it.
SHORT_HISTORY = 5000
# So many packages are polled, and so many beside DLRN, which takes long.
POLLED, POLLED_BY_DLRN = 1000, 100
# So many builds wait.
QUEUES = (1_000, 10_000, 100_000)
BARE_DEB = "dpkg-buildpackage -b, same root"
BARE_RPM = "rpmbuild --rebuild, same root"
PBUILDER = "pbuilder, same source"
MOCK = "mock --rebuild, same source"
DLRN = "DLRN with mock"


def every_series(cache: Path) -> tuple[Series, ...]:
    """All that is measured, in this order.

    Args:
        cache: keeps what is needed between runs.
    """
    peers = Peers(cache)
    return (
        *_warm(peers),
        *_own_builders(peers),
        *_changed(peers),
        *_two(),
        *_memory(peers),
        *_cold(peers),
        *_publishing(cache, peers),
        *_polling(cache, peers),
        *_latency(cache),
        *_scheduling(),
        *_pages(cache),
    )


class Peers:
    """The tools that ours is measured against.

    Args:
        cache: keeps their roots and downloads.

    Attributes:
        without_pbuilder: why there is no pbuilder; empty where there is.
        without_mock: the same of mock, which DLRN needs too.
        without_createrepo: the same of createrepo_c, which DLRN's step after a build needs.
        without_ftparchive: the same of apt-ftparchive.
        without_git_server: why there is no git server over HTTP; empty where there is.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._last_dlrn: Figures | None = None
        self.without_pbuilder = Pbuilder.missing()
        self.without_mock = mock.missing()
        self.without_createrepo = "" if shutil.which("createrepo_c") else "createrepo_c is not installed"
        self.without_git_server = gitserver.missing()
        self.without_ftparchive = "" if shutil.which("apt-ftparchive") else "apt-ftparchive is not installed"

    def pbuilder(self, _workshop: Workshop, target: Target, sample: Sample) -> float:
        """A warm build with pbuilder."""
        return Pbuilder(target, self._cache / "pbuilder").warm(sample.source)

    def cold_pbuilder(self, _workshop: Workshop, target: Target, sample: Sample) -> float:
        """A base and the first build with pbuilder, nothing being there."""
        with self._emptied("pbuilder-empty") as folder:
            pbuilder = Pbuilder(target, folder)
            return pbuilder.create() + pbuilder.build(sample.source)

    def mock(self, _workshop: Workshop, target: Target, sample: Sample) -> float:
        """A warm build with mock."""
        return Mock(target, self._cache / "mock").warm(sample.source)

    def cold_mock(self, _workshop: Workshop, target: Target, sample: Sample) -> float:
        """A root and the first build with mock, nothing being there."""
        with self._emptied("mock-empty") as folder:
            tool = Mock(target, folder)
            return tool.create() + tool.build(sample.source)

    def dlrn(self, workshop: Workshop, target: Target, _sample: Sample) -> float:
        """A warm run of DLRN for one new commit."""
        return self._dlrn(workshop, target).seconds

    def dlrn_peak(self, workshop: Workshop, target: Target, _sample: Sample) -> float:
        """MiB that DLRN's own process has resident at most, in such a run: in the last one, if there was any."""
        return (self._last_dlrn or self._dlrn(workshop, target)).peak

    def _dlrn(self, workshop: Workshop, target: Target) -> Figures:
        sdist = LIBRARY.replace(".", "_")
        tool = Dlrn(target, self._cache / "dlrn", upstream=workshop.clone(LIBRARY), sdist=sdist)
        packaging = workshop.packaging(workshop.newest(target, LIBRARY))
        spec = next(packaging.glob("*.spec")).read_text(encoding="utf-8")
        if not tool.is_warm:
            tool.build(spec)
        # One for DLRN: the newest it may have built already.
        workshop.commit(LIBRARY)
        self._last_dlrn = tool.build(spec)
        return self._last_dlrn

    @contextmanager
    def _emptied(self, name: str) -> Iterator[Path]:
        folder = self._cache / name
        shutil.rmtree(folder, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _warm(peers: Peers) -> tuple[Series, ...]:
    """Builds whose dependencies are those of the one before."""
    return (
        _series(
            DEB,
            partial(_build, LIBRARY),
            f"{LIBRARY}, warm",
            Against("warm-deb", BARE_DEB, _bare, budget=times(1.3)),
            Against("warm-deb-pbuilder", PBUILDER, peers.pbuilder, peers.without_pbuilder, one_of(5)),
        ),
        _series(
            RPM,
            partial(_build, LIBRARY),
            f"{LIBRARY}, warm",
            Against("warm-rpm", BARE_RPM, _bare, budget=Budget(factor=1.0, extra=1.0, text="1x + 1.0 s")),
            Against("warm-rpm-mock", MOCK, peers.mock, peers.without_mock),
        ),
        _series(
            RPM,
            partial(_build, LIBRARY),
            f"{LIBRARY}, warm",
            Against("warm-rpm-dlrn", DLRN, peers.dlrn, peers.without_mock, one_of(20)),
            slow=True,
        ),
        _series(
            DEB,
            partial(_build, SERVICE),
            f"{SERVICE}, warm",
            Against("nova-deb", BARE_DEB, _bare),
            Against("nova-deb-pbuilder", PBUILDER, peers.pbuilder, peers.without_pbuilder),
            slow=True,
        ),
        _series(
            RPM,
            partial(_build, SERVICE),
            f"{SERVICE}, warm",
            Against("nova-rpm", BARE_RPM, _bare),
            Against("nova-rpm-mock", MOCK, peers.mock, peers.without_mock),
            slow=True,
        ),
    )


def _own_builders(peers: Peers) -> tuple[Series, ...]:
    """What Conveyor costs around the builders that are not its own."""
    return (
        _series(
            with_builder(DEB, BUILDERS[DEB]),
            partial(_build, LIBRARY),
            f"{LIBRARY}, builder: pbuilder",
            Against("builder-pbuilder", PBUILDER, peers.pbuilder, peers.without_pbuilder),
            slow=True,
        ),
        _series(
            with_builder(RPM, BUILDERS[RPM]),
            partial(_build, LIBRARY),
            f"{LIBRARY}, builder: mock",
            Against("builder-mock", MOCK, peers.mock, peers.without_mock),
            slow=True,
        ),
    )


def _changed(peers: Peers) -> tuple[Series, ...]:
    """Builds for which a layer has to be made; all packages are downloaded."""
    return tuple(
        _series(target, ours, what, Against(f"{name}-{ending}", peer, theirs, missing), slow=True)
        for target, ending, peer, theirs, missing in (
            (DEB, "deb", PBUILDER, peers.pbuilder, peers.without_pbuilder),
            (RPM, "rpm", MOCK, peers.mock, peers.without_mock),
        )
        for name, ours, what in (
            ("another", _with_another, f"{LIBRARY}, a dependency more"),
            ("renewed", _with_renewed, f"{LIBRARY}, a dependency renewed"),
        )
    )


def _two() -> tuple[Series, ...]:
    """Two builds at once, each by a `conveyor build` of its own."""
    what = f"two commits of {LIBRARY} at once"
    return tuple(
        _series(target, _at_once, what, Against(name, "one after the other", _in_turn), slow=True)
        for name, target in (("two-deb", DEB), ("two-rpm", RPM))
    )


def _memory(peers: Peers) -> tuple[Series, ...]:
    """How much memory the process of `conveyor build` has at most."""
    what = f"conveyor build {LIBRARY}, resident"
    return (
        _series(
            DEB,
            _peak,
            what,
            Against("memory-deb", "largest process of dpkg-buildpackage", _largest, unit=MEBIBYTES),
            slow=True,
        ),
        _series(
            RPM,
            _peak,
            what,
            Against("memory-rpm", "largest process of rpmbuild", _largest, unit=MEBIBYTES),
            Against("memory-dlrn", "DLRN's own process", peers.dlrn_peak, peers.without_mock, unit=MEBIBYTES),
            slow=True,
        ),
    )


def _cold(peers: Peers) -> tuple[Series, ...]:
    """The very first build: no root, no layer, nothing downloaded."""
    what = f"{LIBRARY}, cold"
    return tuple(
        replace(_series(target, _build_cold, what, against, slow=True), warm_up=False)
        for target, against in (
            (DEB, Against("cold-deb", "pbuilder create, build", peers.cold_pbuilder, peers.without_pbuilder)),
            (RPM, Against("cold-rpm", "mock --init, --rebuild", peers.cold_mock, peers.without_mock)),
        )
    )


def _publishing(cache: Path, peers: Peers) -> tuple[Series, ...]:
    """One commit published among many packages, 100,000 builds being in the store."""
    return (
        *(_publishing_rpm(Publishing(cache, Format.RPM, count), count, peers) for count in TRUNKS),
        *(_publishing_deb(Publishing(cache, Format.DEB, count), count, peers) for count in TRUNKS),
        *_growth(cache),
    )


def _publishing_rpm(many: Publishing, count: int, peers: Peers) -> Series:
    name, dlrn, missing = f"publish-rpm-{count}", "DLRN's step after a build", peers.without_createrepo
    budget = one_of(50) if count == BUDGETED else None
    return _series(
        RPM,
        many.ours,
        _among(count),
        Against(f"{name}-dlrn", dlrn, many.peer(many.post_build), missing, budget),
        Against(f"{name}-first", dlrn, many.peer(many.post_build, FIRST), missing, None, figure=FIRST),
        *(
            Against(f"{name}-{figure}", dlrn, many.peer(many.post_build, key), missing, None, unit, key)
            for figure, key, unit in (("memory", MEMORY, MEBIBYTES), ("disk", BYTES, "KiB"), ("inodes", INODES, ""))
        ),
        Against(f"{name}-createrepo", "createrepo_c", many.peer(many.createrepo), missing),
        Against(f"{name}-update", "createrepo_c --update", many.peer(many.update), missing),
        slow=count > BUDGETED,
    )


def _publishing_deb(many: Publishing, count: int, peers: Peers) -> Series:
    name, tool, missing = f"publish-deb-{count}", "apt-ftparchive packages --db", peers.without_ftparchive
    return _series(
        DEB,
        many.ours,
        _among(count),
        Against(name, tool, many.peer(many.ftparchive), missing),
        Against(f"{name}-memory", tool, many.peer(many.ftparchive, MEMORY), missing, None, MEBIBYTES, MEMORY),
    )


def _growth(cache: Path) -> tuple[Series, ...]:
    """What many packages cost beyond few."""
    few, many = TRUNKS[0], TRUNKS[-1]

    def one(target: str, package_format: Format) -> Series:
        fewer = Publishing(cache, package_format, few)
        against = Against(f"publish-{package_format}-growth", f"ours among {few:,}", fewer.peer(fewer.again))
        return _series(target, Publishing(cache, package_format, many).ours, _among(many), against)

    return one(RPM, Format.RPM), one(DEB, Format.DEB), *_history(cache)


def _history(cache: Path) -> tuple[Series, ...]:
    """What a long history costs beyond a short one, the packages being as many."""

    def one(target: str, package_format: Format) -> Series:
        short = Publishing(cache, package_format, BUDGETED, SHORT_HISTORY)
        against = Against(
            f"publish-{package_format}-history", f"ours, {SHORT_HISTORY:,} builds", short.peer(short.again)
        )
        what = f"{_among(BUDGETED)}, {BUILDS:,} builds in the store"
        return _series(target, Publishing(cache, package_format, BUDGETED).ours, what, against)

    return one(RPM, Format.RPM), one(DEB, Format.DEB)


def _polling(cache: Path, peers: Peers) -> tuple[Series, ...]:
    """A poll of packages with two repositories each, and nothing new."""
    many, some = Polling(cache, POLLED), Polling(cache, POLLED_BY_DLRN)
    floor = "xargs -P8 git ls-remote"
    return (
        _series(
            DEB,
            many.ours,
            _poll_of(POLLED),
            Against(f"poll-{2 * POLLED}", floor, many.floor, peers.without_git_server, times(2)),
            slow=True,
        ),
        _series(
            DEB,
            some.ours,
            _poll_of(POLLED_BY_DLRN),
            Against("poll-dlrn", "DLRN's refresh of each", some.dlrn, peers.without_git_server),
            slow=True,
        ),
    )


def _poll_of(packages: int) -> str:
    return f"a poll of {2 * packages:,} repositories, nothing new"


def _among(count: int) -> str:
    return f"one commit among {count:,} packages"


@dataclass(frozen=True, slots=True)
class Against:
    """A claim's own part of a series.

    Attributes:
        name: what `bench/run` calls the claim.
        peer: what it is measured against, in a few words.
        theirs: the peer's figure.
        missing: why the peer is not there; empty where it is.
        budget: what is allowed; None for a claim that only informs.
        unit: of the figures.
        figure: which of the run's further figures is ours; empty for its value.
    """

    name: str
    peer: str
    theirs: Peer
    missing: str = ""
    budget: Budget | None = None
    unit: str = "s"
    figure: str = ""


def _latency(cache: Path) -> tuple[Series, ...]:
    """From a push to the package in `current`, under a daemon that polls every second."""
    latency = Latency(cache / "latency")
    what = "a small package, from the push to `current`"
    return tuple(
        _series(target, latency.ours, what, Against(name, "conveyor build by hand", latency.by_hand))
        for name, target in (("latency-deb", DEB), ("latency-rpm", RPM))
    )


def _scheduling() -> tuple[Series, ...]:
    """The decision which build is next, with builders that build nothing."""
    fewest, most = QUEUES[0], QUEUES[-1]
    growth = Against("scheduler-growth", f"ours, {fewest:,} waiting", Scheduling(fewest).peer(OURS), unit=MICROSECONDS)
    return (
        *(_scheduling_of(waiting) for waiting in QUEUES),
        _series(DEB, Scheduling(most).ours, _decision(most), growth),
    )


def _scheduling_of(waiting: int) -> Series:
    name, queue = f"scheduler-{waiting}", Scheduling(waiting)
    return _series(
        DEB,
        queue.ours,
        _decision(waiting),
        Against(name, "SQLite, SELECT by index, no fairness", queue.peer(SELECT), unit=MICROSECONDS),
        Against(f"{name}-fair", "SQLite, SELECT with fairness", queue.peer(FAIR_SELECT), unit=MICROSECONDS),
        Against(f"{name}-heap", "heapq, order alone", queue.peer(HEAP), unit=MICROSECONDS),
        Against(
            f"{name}-memory",
            "the builds in a list",
            queue.peer(NOBODY, QUEUE_MEMORY),
            unit=MEBIBYTES,
            figure=QUEUE_MEMORY,
        ),
    )


def _pages(cache: Path) -> tuple[Series, ...]:
    """What a browser waits for at the server, of a site with a long history."""
    many = f"{SHOWN_PACKAGES:,} packages x 2 targets, {SHOWN_BUILDS:,} builds"
    what, allowed = f"p95, four connections; {many}", f"{BUDGET_MS:.0f} ms"
    return tuple(
        _series(
            DEB,
            Pages(cache, kind).ours,
            f"the page {kind}, {what}",
            Against(f"page-{kind}", allowed, Pages.budget(), Pages.missing(), times(1), unit="ms"),
        )
        for kind in PATHS
    )


def _decision(waiting: int) -> str:
    return f"a decision, {waiting:,} waiting"


def _series(
    target: str, ours: Callable[[Workshop, Target], Sample], what: str, *against: Against, slow: bool = False
) -> Series:
    comparisons = (
        Comparison(
            claim=Claim(
                name=one.name,
                target=target,
                what=what,
                peer=one.peer,
                budget=one.budget,
                unit=one.unit,
                missing=one.missing,
            ),
            theirs=one.theirs,
            figure=one.figure,
        )
        for one in against
    )
    return Series(target=target, ours=ours, comparisons=tuple(comparisons), slow=slow)


def one_of(parts: int) -> Budget:
    """A budget that is a part of the peer's figure."""
    return Budget(factor=1 / parts, text=f"1/{parts}")


def times(factor: float) -> Budget:
    """A budget that is a multiple of the peer's figure."""
    return Budget(factor=factor, text=f"{factor:g}x")


def _sample(made: Made) -> Sample:
    return Sample(value=made.seconds, stages=made.stages, source=made.source)


def _build(package: str, workshop: Workshop, target: Target) -> Sample:
    return _sample(workshop.build(target, package))


def _build_cold(workshop: Workshop, target: Target) -> Sample:
    return _sample(workshop.build_first(target, LIBRARY))


def _ready(workshop: Workshop, target: Target) -> None:
    """Make the layer that the one before the change would have left: it is what a change builds upon."""
    workshop.build(target, LIBRARY)


def _with_another(workshop: Workshop, target: Target) -> Sample:
    _ready(workshop, target)
    with workshop.forgetting_layers(), workshop.site.requiring(LIBRARY, target.format, ANOTHER):
        return _sample(workshop.build(target, LIBRARY))


def _with_renewed(workshop: Workshop, target: Target) -> Sample:
    _ready(workshop, target)
    with workshop.forgetting_layers():
        workshop.build(target, DEPENDENCY)
        return _sample(workshop.build(target, LIBRARY))


def _at_once(workshop: Workshop, target: Target) -> Sample:
    return Sample(value=processes.two(workshop, target, LIBRARY, processes=2))


def _in_turn(workshop: Workshop, target: Target, _sample: Sample) -> float:
    return processes.two(workshop, target, LIBRARY, processes=1)


def _peak(workshop: Workshop, target: Target) -> Sample:
    workshop.commit(LIBRARY)
    peak = processes.build(workshop, target, LIBRARY)
    return Sample(value=peak, source=workshop.source_files(workshop.newest(target, LIBRARY)))


def _bare(workshop: Workshop, target: Target, sample: Sample) -> float:
    return bare.build(workshop, target, sample.source).seconds


def _largest(workshop: Workshop, target: Target, sample: Sample) -> float:
    return bare.build(workshop, target, sample.source).largest
