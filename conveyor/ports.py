"""What the stages need of the world, as Protocols. Every implementation passes the same contract suite."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from conveyor.errors import ConveyorError
from conveyor.model.artifact import Artifact, Snapshot, SnapshotEntry
from conveyor.model.build import Build, Cause, Claim, Outcome, Stage, StageTime
from conveyor.model.commit import Commit, CommitInfo, History
from conveyor.model.health import Program
from conveyor.model.package import Package
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.target import Format, Target
from conveyor.model.version import PackageVersion


class Clock(Protocol):
    """The time, so that tests can choose it."""

    def now(self) -> datetime:
        """The current time, with zone."""


class Git(Protocol):
    """Upstream repositories, mirrored. Nothing in them is ever executed; every call has a time limit."""

    def update(self, url: str) -> None:
        """Bring the mirror of `url` up to date, making it when missing.

        Raises:
            UpstreamUnreachable: the repository cannot be fetched.
        """

    def resolve(self, url: str, revision: str) -> str:
        """The sha of a branch, tag or (abbreviated) sha in the mirror of `url`; a branch wins over a tag.

        Raises:
            UpstreamEmpty: the repository has no commit.
            RevisionMissing: nothing there has that name.
        """

    def commits(self, url: str, *, tip: str, after: str | None, limit: int) -> tuple[CommitInfo, ...]:
        """Commits from `tip` back along the first parent, at most `limit`, down to `after` (left out); oldest first.

        An `after` that is not in the ancestry of `tip` (a force push) bounds nothing.
        """

    def history(self, url: str, sha: str) -> History:
        """What version schemes need to know of the past of `sha`."""

    def files(self, url: str, sha: str) -> tuple[str, ...]:
        """Paths of the files of `sha`, sorted; those that are not UTF-8 are left out."""

    def archive(self, url: str, sha: str, *, prefix: str, extra: Mapping[str, bytes], into: Path) -> None:
        """Write the tree of exactly `sha` as a gzip-compressed tar file: the same input gives the same bytes.

        Args:
            url: whose mirror.
            sha: the commit.
            prefix: top folder of the tar file, without "/".
            extra: files to add, by path below the prefix.
            into: the file to write.
        """

    def read(self, url: str, sha: str) -> tuple[PackagingFile, ...]:
        """The files of a small tree, such as a packaging repository's, sorted by path; symbolic links are followed.

        Raises:
            UserError: a symbolic link leads outside of the tree.
        """

    def import_worktree(self, url: str, folder: Path) -> CommitInfo:
        """Store a working copy, uncommitted changes included, as a commit in the mirror of `url`.

        Neither the working copy nor its repository is changed, and none of its hooks and filters run. The same
        content on the same HEAD gives the same sha.

        Raises:
            RevisionMissing: the folder is no git working copy, or has no commit.
        """


class PackagingSource(Protocol):
    """Where packaging templates come from."""

    def load(self, package: Package) -> Packaging:
        """The package's templates as they are now.

        Raises:
            UserError: the folder or branch does not exist.
            UpstreamUnreachable: the packaging repository cannot be fetched.
        """


class Renderer(Protocol):
    """Turns templates into packaging files. Pure: the same input gives the same bytes."""

    def render(self, render_input: RenderInput) -> tuple[PackagingFile, ...]:
        """The packaging for one commit and target, sorted by path.

        Raises:
            TemplateInvalid: an undefined variable or a syntax error; names file and line.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """What the source package of one format is made of, and how, inside the sandbox.

    Attributes:
        archive: file name of the upstream archive.
        archive_prefix: its top folder.
        extra: files that the archive holds beside the upstream tree, by path below the prefix.
        files: packaging files to lay beside it.
        script: the shell script that makes the source package. It starts in a folder of its own that holds the
            archive and the packaging files, and leaves its results in "$RESULTS".
        arguments: the script's arguments.
        source_date_epoch: time of the commit, which builders tell a tool that runs no script of ours.
    """

    archive: str
    archive_prefix: str
    extra: Mapping[str, bytes]
    files: tuple[PackagingFile, ...]
    script: bytes
    arguments: tuple[str, ...]
    source_date_epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """How a source package of one format is built, inside the sandbox.

    Attributes:
        script: the shell script. It starts in a folder of its own that holds the source package's files, and leaves
            its results in "$RESULTS".
        arguments: the script's arguments.
        source_date_epoch: time of the commit, which builders tell a tool that runs no script of ours.
        package: the package's name, under which compilations are kept where the target wants it; empty to keep none.
    """

    script: bytes
    arguments: tuple[str, ...]
    source_date_epoch: int = 0
    package: str = ""


class Toolchain(Protocol):
    """All that is particular to one format and runs nothing by itself. A table Format -> Toolchain holds them."""

    format: Format

    def version(
        self, upstream: str, scheme_release: str | None, packaging_release: int, target: Target
    ) -> PackageVersion:
        """The version in the format's notation.

        Args:
            upstream: the upstream's version, PEP 440 or what else a tag held.
            scheme_release: the release where the version scheme sets one (DLRN's does), else None.
            packaging_release: counts the packaging's changes, from 1.
            target: gives the mark of the distribution.

        Raises:
            VersionInvalid: the format cannot express it.
        """

    def compare(self, left: str, right: str) -> int:
        """Negative, 0 or positive as EVR string `left` is older than, equal to or newer than `right`."""

    def source_plan(self, render_input: RenderInput, files: Sequence[PackagingFile]) -> SourcePlan:
        """How to make the source package.

        Raises:
            SourceInvalid: the packaging lacks what the format needs (a spec, debian/control).
        """

    def build_plan(self, target: Target, version: PackageVersion, source_date_epoch: int) -> BuildPlan:
        """How to build the source package."""

    def build_requirements(self, source_files: Sequence[Path]) -> tuple[str, ...]:
        """The build dependencies that a source package declares, in the format's words, sorted."""

    def runtime_requirements(self, packages: Sequence[Path]) -> tuple[str, ...]:
        """What binary packages need of others to be installed, less what they bring themselves, sorted."""

    def inspect(self, path: Path) -> Artifact:
        """What a file that a build left is.

        Raises:
            SourceInvalid: the file is not what its name says.
        """

    def foreign(self, source_files: Sequence[Path], packages: Sequence[Path]) -> tuple[str, ...]:
        """Why binary packages are none of what a source package makes: a line for each such package.

        The source package was made before anything of the upstream ran; the packages come from a build in which the
        upstream could write any file under any name.
        """

    def risky_files(self, package: Path) -> RiskyFiles:
        """The files in a binary package that give rights to who runs or opens them.

        Raises:
            SourceInvalid: the package's payload is not what its name says.
        """

    def explain_source_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """From the log of a failed source stage: the cause in one line, and the lines that matter."""

    def explain_build_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """From the log of a failed build: the cause in one line (the failing command), and the lines that matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskyFiles:
    """Files in a package that give rights.

    Attributes:
        privileged: paths of programs that run with rights of their owner: setuid, setgid, or with capabilities.
        devices: paths of device nodes.
        complete: False where the package is too large to have been looked through.
    """

    privileged: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """The repository of earlier builds, as a source of dependencies.

    Attributes:
        folder: root of the target's published tree on this machine.
        snapshot: path of the current snapshot below it.
        binaries: its binary packages.
    """

    folder: Path
    snapshot: str
    binaries: tuple[Artifact, ...]


class Place(StrEnum):
    """Where a package manager's command runs."""

    ROOT = "root"  # inside the root, with the root's own programs
    HOST_TOOLS = "host-tools"  # in the sandbox, with the host's programs; the root is at /target
    # On the host, in namespaces of its own; "{root}" and "{files}" in an argument stand for the root's path and for the
    # folder with the command's files.
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootCommand:
    """One step that changes a root.

    Attributes:
        place: where it runs.
        argv: the command.
        network: whether it needs the network.
        files: configuration files by path below /conveyor. There, "cache" is a folder that lasts, "trunk" is the
            published tree of the target, and "packages" holds the packages of `install_files`.
        environment: variables to set.
        shared: paths of the host that it sees, read-only, in the same place.
    """

    place: Place
    argv: tuple[str, ...]
    network: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class InstalledPackage:
    """A package in a root, as the format's package manager names it."""

    name: str
    version: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.name}={self.version}:{self.architecture}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a package manager would do to a root.

    Attributes:
        installed: packages that would be there in the end and are not now, those of another version included.
        removed: names of packages that would go.
    """

    installed: tuple[InstalledPackage, ...]
    removed: tuple[str, ...]


class PackageManager(Protocol):
    """How roots of one format are made and filled: command lines, nothing is run here."""

    @property
    def programs(self) -> tuple[Program, ...]:
        """What it needs of the host."""

    def bootstrap(self, target: Target) -> tuple[RootCommand, ...]:
        """Make the smallest root in an empty folder."""

    def install(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        """Install what satisfies the requirements: the last step needs no network."""

    def resolve(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        """Have the last step print what `install` would do, and do nothing. That step's exit code means nothing."""

    def parse_changes(self, output: str) -> Changes | None:
        """What the last step of `resolve` printed; None where it tells nothing, or not all."""

    def install_exactly(
        self, target: Target, packages: Sequence[InstalledPackage], trunk: Trunk | None
    ) -> tuple[RootCommand, ...]:
        """Install packages in exactly these versions: the last step needs no network."""

    def install_files(self, target: Target, filenames: Sequence[str]) -> tuple[RootCommand, ...]:
        """Install package files that lie in /conveyor/packages, whose dependencies are there already."""

    def list_installed(self, target: Target) -> RootCommand:
        """Print what is installed."""

    def parse_installed(self, output: str) -> tuple[InstalledPackage, ...]:
        """What `list_installed` printed, sorted."""

    def failure(self, target: Target, log: Sequence[str]) -> ConveyorError:
        """What the log of a failed step tells: a requirement that cannot be satisfied, or an unreachable mirror."""


class Builder(Protocol):
    """Makes clean roots for a target and runs the stages in them.

    Everything it writes to `log` is what a packager reads. It leaves no mount, process or temporary folder behind,
    however it ends.
    """

    def bootstrap(self, target: Target, log: Path) -> None:
        """Have ready what every build of the target starts from, making it when it is missing or too old.

        Raises:
            MirrorUnreachable: the distribution's packages cannot be fetched.
        """

    def make_source(
        self, target: Target, plan: SourcePlan, archive: Path, results: Path, log: Path
    ) -> tuple[Path, ...]:
        """Make the source package in a clean root; returns its files, in `results`.

        Raises:
            SourceInvalid, LimitExceeded: the package's fault.
        """

    def prepare(self, target: Target, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> PreparedRoot:
        """Have a root ready that satisfies the requirements.

        A builder whose tool installs build dependencies as the first part of a build leaves it to `build`, which then
        raises these.

        Raises:
            BuildDependencyMissing: a requirement cannot be satisfied.
            MirrorUnreachable: the distribution's packages cannot be fetched.
        """

    def build(
        self, root: PreparedRoot, plan: BuildPlan, source: Sequence[Path], results: Path, log: Path, keep: Path | None
    ) -> tuple[Path, ...]:
        """Build in a throw-away copy of the root, without network; returns the files made, in `results`.

        Args:
            root: from `prepare`.
            plan: how to build.
            source: the source package's files.
            results: an existing, empty folder.
            log: the build's log, appended to.
            keep: folder that keeps what the build changed in the root, for `shell`; None to throw it away.

        Raises:
            BuildFailed, LimitExceeded: the package's fault.
            BuildDependencyMissing, MirrorUnreachable: where `prepare` leaves build dependencies to this.
        """

    def check_install(
        self, target: Target, packages: Sequence[Path], requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> None:
        """Install packages in a fresh root, with their dependencies.

        Raises:
            NotInstallable: they cannot be installed.
            MirrorUnreachable: the distribution's packages cannot be fetched.
        """

    def shell(self, target: Target, keep: Path, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal in the root that `build` kept; returns its exit code.

        Raises:
            UnknownName: no root is kept there, or its layers are gone.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRoot:
    """A root that is ready for a build.

    Attributes:
        target: whose.
        layers: ids of its layers, the topmost first; none where the builder has no layers.
        packages: what is installed, sorted: the resolved buildroot; none where the build itself installs it.
        trunk: the repository of earlier builds that it was made with.
        lease: keeps what it is made of from being removed for as long as the root is referred to.
    """

    target: Target
    layers: tuple[str, ...] = ()
    packages: tuple[InstalledPackage, ...] = ()
    trunk: Trunk | None = None
    lease: object = field(default=None, compare=False, repr=False)


class IndexWriter(Protocol):
    """Writes one format's repository metadata."""

    format: Format

    def write(self, folder: Path, snapshot: Snapshot, pool: Path) -> None:
        """Write the metadata of a snapshot into its folder, the same bytes for the same snapshot.

        Args:
            folder: the snapshot's folder, not published yet.
            snapshot: what it holds.
            pool: the pool's folder, where `<first two digits>/<sha256>/<filename>` is each artifact.
        """

    def check(self, files: Sequence[tuple[Path, Artifact]]) -> None:
        """See that a snapshot can hold the files of one build, before anything of them is published.

        Raises:
            SourceInvalid: a package cannot be listed: what the snapshots of all other packages would fail for, too.
        """

    def checksummed(self, folder: Path) -> tuple[str, ...]:
        """The metadata files of a written snapshot whose names hold their checksum: paths relative to `folder`, sorted.

        A client that read an older entry file (repomd.xml, Release) through a pointer still asks for them after the
        pointer has moved, so the next snapshot has to answer for a while.
        """

    def client_file(self, *, name: str, title: str, url: str) -> tuple[str, str]:
        """File name and content of what a client drops into its configuration to use the repository at `url`."""

    def client_lines(self, client_file: tuple[str, str], packages: Sequence[str]) -> str:
        """The shell lines that put a client file in its place and install packages from the repository."""


class Repository(Protocol):
    """The published tree: pool, snapshots, pointers."""

    def add(self, target: str, path: Path, artifact: Artifact) -> Artifact:
        """Bring a file into the target's pool, durably; the same content twice is stored once."""

    def check(self, target: str, files: Sequence[tuple[Path, Artifact]]) -> None:
        """See that a snapshot of the target can hold the files of one build; nothing is published.

        Raises:
            SourceInvalid: a name or a package is not fit to be published.
        """

    def artifact_path(self, target: str, artifact: Artifact) -> Path:
        """Where an artifact lies in the pool."""

    def publish(self, snapshot: Snapshot, extras: Mapping[str, bytes]) -> Path:
        """Write a snapshot aside and rename it into place; returns its folder. One that exists stays as it is.

        Args:
            snapshot: what to publish.
            extras: further files, such as logs, by relative path.
        """

    def point(self, target: str, pointer: str, commit_id: str) -> None:
        """Move a pointer, atomically."""

    def pointed(self, target: str, pointer: str) -> str | None:
        """The id of the commit that a pointer points at."""

    def snapshot_folder(self, target: str, commit_id: str) -> Path:
        """Where the snapshot of a commit is or will be."""

    def trunk(self, target: str, binaries: Sequence[Artifact]) -> Trunk | None:
        """The current snapshot as a source of dependencies; None before the first."""

    def writing(self, target: str) -> AbstractContextManager[None]:
        """Hold the target's one writer's place, across processes."""

    def clean(self) -> None:
        """Remove what a killed writer left half-done."""


class Store(Protocol):
    """What happened, durably. Each method is one transaction."""

    def queue(self, commit: Commit, target: str, *, retry: bool) -> Build:
        """The build of a commit on a target, made when it does not exist.

        Args:
            commit: what to build.
            target: for what.
            retry: put a build that finished with another outcome than "succeeded" back into the queue.
        """

    def claim(self, build_id: int, claim: Claim) -> Build | None:
        """Take a queued build and start its next attempt; None when it is not queued (any more)."""

    def heartbeat(self, build_id: int, token: str, at: datetime) -> bool:
        """Say that the claim is alive; False when it was lost."""

    def set_log(self, build_id: int, token: str, log: str) -> None:
        """Remember where the running attempt's log is, relative to the data directory.

        Raises:
            ClaimLost: the claim with this token is not alive.
        """

    def release(self, build_id: int, cause: Cause, at: datetime, *, token: str | None = None) -> None:
        """End the attempt of a dead claim as errored and put the build back into the queue.

        Args:
            build_id: the build; nothing happens when it is not running.
            cause: why.
            at: when.
            token: the dead claim's, so that a claim made meanwhile is left alone; None for any.
        """

    def finish(
        self,
        build_id: int,
        token: str,
        *,
        outcome: Outcome,
        at: datetime,
        version: str | None,
        cause: Cause | None,
        stages: Sequence[StageTime],
        entry: SnapshotEntry | None,
    ) -> Build:
        """End the running attempt. `entry` holds the artifacts of a successful one.

        Raises:
            ClaimLost: the claim with this token is not alive.
            ContentChanged: an artifact's name, version and architecture exists with other content.
        """

    def mark_published(self, build_id: int, publish_seconds: float) -> Build:
        """Remember that the build's snapshot is published."""

    def build(self, build_id: int) -> Build:
        """One build.

        Raises:
            UnknownName: there is none.
        """

    def builds(self, *, package: str | None = None, target: str | None = None, limit: int = 50) -> tuple[Build, ...]:
        """Builds, newest first."""

    def running(self) -> tuple[Build, ...]:
        """Builds that are claimed."""

    def unpublished(self) -> tuple[Build, ...]:
        """Successful builds of trunk commits whose snapshot is not published, oldest first."""

    def entries(self, target: str) -> tuple[SnapshotEntry, ...]:
        """For each package its newest successful build of a trunk commit, sorted by package.

        Newest is the build that finished last; `latest_succeeded` says whether a later one did not succeed.
        """

    def entry(self, build_id: int) -> SnapshotEntry:
        """What a successful build of a trunk commit brings into a snapshot.

        Raises:
            UnknownName: there is no such build.
        """

    def failing(self, target: str) -> tuple[str, ...]:
        """Packages whose latest finished build of a trunk commit did not succeed, sorted; cancelled ones left out."""

    def published_versions(self, target: str, package: str) -> tuple[str, ...]:
        """EVR strings of the package's successful trunk builds, of other commits included."""

    def published_artifact(self, target: str, name: str, version: str, architecture: str) -> Artifact | None:
        """The binary artifact that is already known under this name, version and architecture."""

    def publishers(self, target: str, names: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """Who publishes binary packages of these names: the packages whose entries have them, sorted, by name.

        An entry is that of `entries`; a name that no entry has is left out.
        """

    def close(self) -> None:
        """Let go of the database."""


class Progress(Protocol):
    """Hears of a build's stages as they run. Never in the write path: what it raises is not caught for it."""

    def started(self, build: Build, stage: Stage) -> None:
        """A stage begins."""

    def ended(self, build: Build, stage: Stage, seconds: float, failed: bool) -> None:
        """A stage has ended, after so many seconds."""

    def waiting(self, build: Build) -> None:
        """Another process works on this build; we wait for it."""
