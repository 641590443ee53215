"""The pipeline on fakes: everything that an order needs, and what it has left when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from conveyor.model.build import Build
from conveyor.model.commit import Commit, History
from conveyor.model.package import Package, PackagingFolder, VersionScheme
from conveyor.model.promotion import PromotionPolicy
from conveyor.model.target import BuilderKind, DebianSuite, Format, Limits, Target
from conveyor.model.version import SchemeVersion
from conveyor.pipeline.claims import Claims
from conveyor.pipeline.happenings import Happenings
from conveyor.pipeline.orders import Orders
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.pointing.choose import Chooser
from conveyor.pipeline.pointing.knowledge import Knowledge
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.pointing.promote import Promoter
from conveyor.pipeline.poll import Poll, Wanted
from conveyor.pipeline.provenance import Statements
from conveyor.pipeline.publish import Publisher
from conveyor.pipeline.queued import QueuedBuilds
from conveyor.pipeline.rebuilds.relating import Declarations
from conveyor.pipeline.recover import Recovery
from conveyor.pipeline.run import Report, Runner
from conveyor.ports import Events, Ledger, Progress, Queue, Repository, Store, Votes
from tests.fakes.builder import FakeBuilder
from tests.fakes.clock import FakeClock
from tests.fakes.describer import FakeDescriber
from tests.fakes.events import MemoryEvents
from tests.fakes.git import FakeGit, FakeUpstream
from tests.fakes.ledger import MemoryLedger, MemoryVotes
from tests.fakes.packaging import FakePackaging, FakeRenderer
from tests.fakes.progress import FakeProgress
from tests.fakes.queue import MemoryQueue
from tests.fakes.repository import FakeRepository
from tests.fakes.store import MemoryStore
from tests.fakes.toolchain import FakeToolchain

TARGET = Target(
    name="debian-13-amd64",
    format=Format.DEB,
    architecture="amd64",
    builder=BuilderKind.OVERLAY,
    origin=DebianSuite(suite="trixie", mirror=None, components=("main",)),
    base_packages=(),
    build_packages=(),
    dist="deb13",
    naming="debian",
    limits=Limits(seconds=60, memory=2**30, disk=2**30, processes=100),
    install_check=True,
)
RECIPE = "say hello\nmake NAME_{evr}.fake content\n"


def package_of(name: str) -> Package:
    """A package whose upstream is at a URL of its own."""
    return Package(
        name=name,
        distribution=name,
        upstream=f"https://git.example.org/{name}",
        branch="master",
        packaging=PackagingFolder(path=Path("/specs") / name),
        archetype=None,
        targets=(TARGET.name,),
        version_scheme=VersionScheme.PBR,
        maintainers=(),
        component="common",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What outlives a process: all but the pipeline itself."""

    data: Path
    store: Store
    queue: Queue
    repository: Repository
    events: Events = field(default_factory=MemoryEvents)
    ledger: Ledger = field(default_factory=MemoryLedger)
    votes: Votes = field(default_factory=MemoryVotes)
    upstreams: Mapping[str, FakeUpstream]
    packaging: FakePackaging = field(default_factory=FakePackaging)
    clock: FakeClock = field(default_factory=FakeClock)


def new_world(data: Path, *packages: str) -> World:
    """Upstreams with one commit each, and nothing built."""
    clock = FakeClock()
    upstreams = {package_of(name).upstream: FakeUpstream() for name in packages}
    for upstream in upstreams.values():
        upstream.commit("First", files={"README": b"hello"})
    store = MemoryStore(clock.now)
    world = World(
        data=data,
        store=store,
        queue=MemoryQueue(store),
        events=store.events,
        ledger=MemoryLedger(store.events),
        repository=FakeRepository(data / "repos"),
        upstreams=upstreams,
        clock=clock,
    )
    for name in packages:
        world.packaging.recipes[name] = RECIPE.replace("NAME", name)
    return world


class Workshop:
    """One process's pipeline on a world."""

    def __init__(
        self,
        world: World,
        *,
        store: Store | None = None,
        repository: Repository | None = None,
        configured: Sequence[str] = (),
        targets: Sequence[Target] = (TARGET,),
        policies: Sequence[PromotionPolicy] = (),
        progress: Progress | None = None,
        stages_only: Callable[[], AbstractContextManager[None]] = nullcontext,
        lacking: Callable[[Package, str], tuple[str, ...]] = lambda *_: (),
    ) -> None:
        self.world = world
        self.builder = FakeBuilder(["python3", "libgood"])
        self.progress = FakeProgress()
        self.versions: dict[str, str] = {}
        self.git = FakeGit(world.upstreams)
        self._store = store or world.store
        self._repository = repository or world.repository
        names = [url.rpartition("/")[2] for url in world.upstreams]
        self.ledger = world.ledger
        self.pointers = Pointers(self.ledger, self._repository, world.clock)
        describers = {Format.DEB: FakeDescriber()}
        statements = Statements(self._repository, describers, "https://trunk.example.org")
        components = {target.name: dict.fromkeys(configured or names, "main") for target in targets}
        self.publisher = Publisher(self._store, self._repository, self.pointers, world.data, components, statements)
        toolchains = {Format.DEB: FakeToolchain()}
        self.declarations = Declarations(world.queue, toolchains)
        self.parts = Parts(
            git=self.git,
            packaging=world.packaging,
            upstream_version=self._version,
            renderer=FakeRenderer(),
            toolchains=toolchains,
            describers=describers,
            builders={BuilderKind.OVERLAY: self.builder},
            repository=self._repository,
            store=self._store,
            clock=world.clock,
            progress=progress or self.progress,
            configured={target.name: configured or names for target in targets},
            builds=world.data / "builds",
            declared=self.declarations.record_first,
            lacking=lacking,
        )
        self.knowledge = Knowledge(
            self._store,
            world.votes,
            self._repository,
            world.clock,
            {name: [target.name for target in targets] for name in configured or names},
        )
        self.promoter = Promoter(
            store=self._store,
            repository=self._repository,
            pointers=self.pointers,
            knowledge=self.knowledge,
            chooser=Chooser(self._store, self.ledger, self._repository, self.knowledge),
            policies=policies,
        )
        self.happenings = Happenings(world.events, self._store)
        self.claims = claims = Claims(
            self._store, happenings=self.happenings, clock=world.clock, builds=self.parts.builds
        )
        runner = Runner(self.parts, self.publisher, self.happenings, world.data, self.promoter.follow, stages_only)
        self.orders = Orders(self.parts, claims, runner)
        self.queued = QueuedBuilds(
            store=self._store,
            queue=world.queue,
            clock=world.clock,
            claims=claims,
            runner=runner,
            happenings=self.happenings,
            packages={name: package_of(name) for name in configured or names},
            targets={target.name: target for target in targets},
        )
        self.poll = Poll(self.git, world.packaging)
        self.recovery = Recovery(
            claims=claims,
            publisher=self.publisher,
            pointers=self.pointers,
            store=self._store,
            repository=self._repository,
            targets={target.name: target for target in targets},
            sweepers=(),
            follow=self.promoter.follow,
        )

    def commit(self, package: str, wanted: Wanted | None = None) -> Commit:
        """The newest commit of a package, or another that is wanted."""
        return self.poll.find(package_of(package), wanted or Wanted())

    def build(
        self, package: str, wanted: Wanted | None = None, *, keep_root: bool = False, target: Target = TARGET
    ) -> Report:
        """Find a package's commit and build it."""
        return self.orders.build(package_of(package), target, self.commit(package, wanted), keep_root=keep_root)

    def push(self, package: str, subject: str) -> str:
        """One more commit upstream; gives its sha."""
        return self.world.upstreams[package_of(package).upstream].commit(subject, files={"README": subject.encode()})

    def folder(self, build: Build) -> Path:
        """The folder of a build's last attempt."""
        return self.parts.builds / str(build.id) / str(build.attempt)

    def log(self, build: Build) -> str:
        """The log of a build's last attempt."""
        assert build.log is not None
        return (self.world.data / build.log).read_text()

    def pointed(self, pointer: str, target: Target = TARGET) -> str | None:
        """The commit id that a pointer points at."""
        return self._repository.pointed(target.name, pointer)

    def _version(self, history: History, scheme: VersionScheme) -> SchemeVersion:
        del scheme
        sha = history.commit.sha
        return SchemeVersion(upstream=self.versions.get(sha, f"1.{history.commits_since}"))


def tree_of(folder: Path) -> dict[str, str]:
    """Every file and link below a folder, with its content or what it points at."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes().decode("utf-8", "replace")
    return found
