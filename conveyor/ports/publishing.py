"""The published tree and its metadata."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from conveyor.model.artifact import Artifact, Snapshot
from conveyor.model.manifest import Manifest
from conveyor.model.published import PoolFile
from conveyor.model.target import Format
from conveyor.ports.packagemanager import Trunk


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFile:
    """A file that leads a client to all others of a repository, so that its signature vouches for all of them.

    Attributes:
        path: relative to the snapshot's folder.
        detached: name of its detached signature, which lies beside it.
        inline: name of its clear-signed twin, which lies beside it; empty where clients know none.
    """

    path: str
    detached: str
    inline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """The public keys of a signed repository, as a client file names them.

    Attributes:
        url: where they are published.
        armoured: the keys themselves, one ASCII-armoured block.
        packages: whether every package that the format's clients check has a signature of its own, too.
    """

    url: str
    armoured: str
    packages: bool


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

    def to_sign(self, folder: Path) -> tuple[EntryFile, ...]:
        """The files of a written snapshot that are signed, where the repository is."""

    def dated(self, folder: Path) -> datetime | None:
        """The date by which clients refuse an entry file that is older than the one they have.

        None where they do not look at dates, or there is none.
        """

    def redated(self, folder: Path, date: datetime) -> Mapping[str, bytes]:
        """The files of `to_sign` with another date, by their paths; nothing is written.

        Args:
            folder: a written snapshot's.
            date: in UTC, in whole seconds.
        """

    def components(self, folder: Path) -> tuple[str, ...]:
        """The components that a written snapshot is parted into, sorted; none where it is not."""

    def aggregates(self) -> bool:
        """Whether its client files name a repository for each component, as DLRN's aggregated files do."""

    def client_file(
        self,
        *,
        name: str,
        title: str,
        url: str,
        keys: ClientKeys | None = None,
        components: Sequence[str] = (),
        lasting: bool = False,
    ) -> tuple[str, str]:
        """File name and content of what a client drops into its configuration to use the repository at `url`.

        Args:
            name: the repository's name on the client.
            title: one line for people.
            url: where the repository is.
            keys: what its signatures are demanded with; None where it is not signed, which the file says then.
            components: what it is parted into, for a format that names them; none for a repository that is not there.
            lasting: whether what is at `url` never changes, and so is never too old.
        """

    def mirror_lists(self, folder: Path, url: str) -> Mapping[str, str]:
        """The files of a written snapshot that tell clients of a pointer its own URL, by their paths.

        A client that reads an entry file and its signature through a pointer may be led to two snapshots; one that asks
        the pointer for the snapshot's URL, and that for all else, may not. None where no client needs it.

        Args:
            folder: the snapshot's.
            url: where it is, and stays.
        """

    def moving(self, text: str, folder: Path) -> str:
        """The content of a client file with `lasting`, for a URL where what is there changes.

        Args:
            text: the client file, with that URL.
            folder: the snapshot that is there now.
        """

    def client_lines(self, client_file: tuple[str, str], packages: Sequence[str]) -> str:
        """The shell lines that put a client file in its place and install packages from the repository."""

    def forget(self, paths: Collection[str]) -> None:
        """Let go of what is kept of packages that are removed for good.

        Args:
            paths: where they were in the pool; what was never kept is left out.
        """


class Repository(Protocol):
    """The published tree: pool, snapshots, pointers."""

    def bringing(self, target: str) -> AbstractContextManager[None]:
        """Keep what is brought into the target's pool from being removed, until the store knows of it. Many may."""

    def add(self, target: str, path: Path, artifact: Artifact) -> Artifact:
        """Bring a file into the target's pool, durably; the same content twice is stored once."""

    def check(self, target: str, files: Sequence[tuple[Path, Artifact]]) -> None:
        """See that a snapshot of the target can hold the files of one build; nothing is published.

        Raises:
            SourceInvalid: a name or a package is not fit to be published.
        """

    def signed(
        self, target: str, files: Sequence[tuple[Path, Artifact]]
    ) -> AbstractContextManager[tuple[tuple[Path, Artifact], ...]]:
        """The files of one build as they are published: packages that carry a signature are signed copies.

        The copies are gone at the end. The files themselves stay as they are; without a key, or for a format without
        such signatures, they are what is published.

        Raises:
            SigningFailed: a package was not signed.
        """

    def holds(self, target: str, path: Path, artifact: Artifact) -> bool:
        """Whether an artifact of the pool is the file at `path`, but for the signature that publishing put into it."""

    def artifact_path(self, target: str, artifact: Artifact) -> Path:
        """Where an artifact lies in the pool."""

    def publish(self, snapshot: Snapshot, extras: Mapping[str, bytes]) -> Path:
        """Write a snapshot aside and rename it into place; returns its folder. One that exists stays as it is.

        Args:
            snapshot: what to publish.
            extras: further files, such as logs, by relative path.
        """

    def check_pointer(self, target: str, pointer: str, commit_id: str) -> None:
        """See that a pointer can be moved to the snapshot of a commit; nothing is moved.

        Raises:
            UnknownName: there is no such target or snapshot, or no pointer can be called that.
        """

    def point(self, target: str, pointer: str, commit_id: str) -> None:
        """Move a pointer, atomically. Only Pointers calls this: it keeps the ledger.

        Raises:
            UnknownName: see `check_pointer`.
        """

    def unpoint(self, target: str, pointer: str) -> None:
        """Remove a pointer that was not there before a move that is taken back."""

    def pointed(self, target: str, pointer: str) -> str | None:
        """The id of the commit that a pointer points at.

        Raises:
            UnknownName: no target or pointer can be called that.
        """

    def ledger_head(self, target: str) -> str | None:
        """What `set_ledger_head` published last."""

    def set_ledger_head(self, target: str, head: str) -> None:
        """Publish which entry of the ledger was the last one when a pointer of the target last moved."""

    def pointers(self, target: str) -> Mapping[str, str]:
        """Ids of the commits that a target's pointers point at, by the pointers' names, sorted."""

    def manifest(self, target: str, commit_id: str) -> Manifest:
        """What the published snapshot of a commit holds.

        Raises:
            UnknownName: there is no such snapshot.
            SnapshotDamaged: what it says of itself cannot be read.
        """

    def snapshot_folder(self, target: str, commit_id: str) -> Path:
        """Where the snapshot of a commit is or will be."""

    def trunk(self, target: str, binaries: Sequence[Artifact], commit_id: str | None = None) -> Trunk | None:
        """The current snapshot, or that of a commit, as a source of dependencies; None where there is none."""

    def writing(self, target: str) -> AbstractContextManager[None]:
        """Hold the target's one writer's place, across processes."""

    def clean(self) -> None:
        """Remove what a killed writer left half-done."""


class Collector(Protocol):
    """Removes from the published tree what retention takes. What it removes is chosen by its caller."""

    def snapshots(self, target: str) -> tuple[str, ...]:
        """Ids of the commits whose snapshots are in the tree, sorted, whether or not the store knows them."""

    def linked(self, target: str) -> frozenset[str]:
        """Ids of the commits whose snapshots any link of the target's tree leads to, in whatever folder: pointers."""

    def holding(self, target: str) -> AbstractContextManager[None]:
        """Hold the target's pool alone: nobody is between bringing files into it and telling the store of them.

        Whoever needs the place of the target's one writer too takes it second.
        """

    def unreachable(self, target: str, reachable: AbstractSet[str]) -> tuple[str, ...]:
        """What of the pool is none of `reachable`, sorted: paths in it, of files, and of folders that empties.

        Links that show a source package's files beside its .dsc stay and go with that.
        """

    def size(self, target: str, commit_ids: Collection[str], paths: Collection[str], others: Iterable[Path]) -> int:
        """Bytes on the disk that are free when all of these are gone; a file with a name elsewhere does not count.

        Args:
            target: the target's name.
            commit_ids: of snapshots that are in the tree.
            paths: paths in the pool.
            others: folders elsewhere.
        """

    def attic(self, target: str) -> AbstractContextManager[Path]:
        """A folder for what is put away, removed with all that is in it at the end, or by the next who asks for one."""

    def put_away(self, target: str, commit_ids: Collection[str], attic: Path) -> None:
        """Take snapshots out of the tree, durably, each in one step; those that are not there are left out."""

    def remove(self, target: str, paths: Collection[str]) -> None:
        """Remove files and folders from the pool, and what is kept of them; those that are not there are left out."""


class PoolReader(Protocol):
    """Reads the files of a target's pool to see that they are what they were."""

    def read(self, target: str, bytes_per_second: int | None) -> Iterator[PoolFile]:
        """Read every file, from the disk, and remember which of them no new snapshot may list.

        Args:
            target: the target's name.
            bytes_per_second: how fast, on average; None for as fast as it goes.
        """

    def has(self, target: str, path: str) -> bool:
        """Whether a file is there."""


class PoolMender(Protocol):
    """Brings back files of a target's pool that are damaged or missing."""

    def bring_back(self, target: str, path: Path, artifact: Artifact) -> bool:
        """Put a file that was made again where a damaged one lies, or none; False where it is not the same.

        Where the damaged one still has a signature in itself, that is put on the new one, if they are the same then.
        """


class Signer(Protocol):
    """Signs what is published. Only the publisher has one."""

    @property
    def public_keys(self) -> bytes:
        """The public keys that clients need, those of earlier signatures included; one ASCII-armoured block.

        Raises:
            SigningFailed: one of them is missing.
        """

    def clear_sign(self, content: bytes) -> bytes:
        """Text in a clear-signed frame (RFC 4880, section 7), such as InRelease.

        Raises:
            SigningFailed: the key is missing, expired, revoked or locked.
        """

    def sign(self, content: bytes) -> bytes:
        """A detached signature, ASCII-armoured, such as Release.gpg and repomd.xml.asc.

        Raises:
            SigningFailed: the key is missing, expired, revoked or locked.
        """


class PackageSigner(Protocol):
    """Puts signatures into the packages of one format."""

    def sign(self, paths: Sequence[Path]) -> None:
        """Sign packages in place: all of them or, with an error, any number.

        Raises:
            SigningFailed: the key is missing, expired, revoked or locked.
        """

    def has_signature(self, path: Path) -> bool:
        """Whether a package carries a signature, whoever's."""


class SignatureChecker(Protocol):
    """Checks what a Signer signed."""

    def check(self, content: bytes, signature: bytes) -> str:
        """Why a detached signature of some content is not to be trusted; empty where one of the site's keys made it."""
