"""The published tree of all targets: the port Repository on plain files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path

from conveyor.errors import UnknownName
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot
from conveyor.model.manifest import Manifest
from conveyor.model.promotion import CONSISTENT, CURRENT, LEDGER_HEAD, consistent_of, follows_builds
from conveyor.ports import ClientKeys, IndexWriter, PackageSigner, Trunk
from conveyor.repository import aggregates, bitrot, leading, manifest, names, pointers, pool, snapshot
from conveyor.repository import files as disk
from conveyor.repository.described import Describing
from conveyor.repository.redating import Redating
from conveyor.repository.signing import published
from conveyor.repository.signing.lead import content_digest, signed_like
from conveyor.repository.signing.published import Signing

LOCK = ".lock"
_KEPT = 1024  # names of files of so many snapshots


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PublishedTree:
    """All targets' repositories below one folder.

    Each method that writes leaves either nothing or the whole, raises DiskFull where there is no room, and can be
    repeated. Writers of one target hold `writing`; readers need nothing.

    Args:
        root: the folder that a web server serves.
        writers: what writes the metadata of each target, by the target's name.
        base_url: where `root` is served, without a slash at the end.
        client_name: name of the repository on clients, and of the client file.
        signing: what signs; None where nothing is signed.
        now: the date of metadata whose own is older than what a pointer's clients have.
    """

    def __init__(
        self,
        root: Path,
        *,
        writers: Mapping[str, IndexWriter],
        base_url: str,
        client_name: str = "conveyor",
        signing: Signing | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._root = root
        self._writers = writers
        self._base_url = base_url.rstrip("/")
        self._client_name = client_name
        self._signing = signing
        self._now = now
        self._describing = Describing()
        self._signed: dict[str, frozenset[str]] = {}  # of each target's last snapshot
        # A snapshot never changes, and each of the last ones is asked for with every move.
        self._checksummed = lru_cache(maxsize=_KEPT)(self._read_checksummed)

    def url(self, target: str, place: str) -> str:
        """The URL of a snapshot (`ab/cd/<commit id>`) or a pointer of a target."""
        return f"{self._base_url}/{names.check_target(target)}/{place}"

    def client_file(self, target: str, place: str) -> tuple[str, str]:
        """Name and content of a client file for a snapshot (`ab/cd/<commit id>`) or a pointer of a target.

        A pointer's is that of where it leads but for the place, so that it demands the signatures that are there.
        """
        name, text = self._client_file(target, place, None)
        commit_id = None if "/" in place else self.pointed(target, place)
        shard = place if commit_id is None else names.shard(commit_id)
        published = self._folder(target) / place / name
        if not published.exists():
            return name, text
        # The tree may be served elsewhere by now.
        url = re.compile(rf"[^\s=]+/{re.escape(f'{target}/{shard}')}")
        here = url.sub(lambda _: self.url(target, place), published.read_text(encoding="utf-8"))
        moving = here if shard == place else self._writer(target).moving(here, self._folder(target) / shard)
        return name, moving.replace(shard, place)

    def client_lines(self, target: str, place: str, packages: Sequence[str]) -> str:
        """The shell lines that make a client install packages from a snapshot or a pointer of a target."""
        return self._writer(target).client_lines(self.client_file(target, place), packages)

    @contextmanager
    def bringing(self, target: str) -> Iterator[None]:
        """See Repository.bringing. Waits while the pool is being cleared."""
        with disk.room_needed(f"the pool of {target}"):
            root = self._make_pool(target)
        with disk.folder_lock(root / pool.POOL, shared=True):
            yield

    @contextmanager
    def signed(
        self, target: str, files: Sequence[tuple[Path, Artifact]]
    ) -> Iterator[tuple[tuple[Path, Artifact], ...]]:
        """See Repository.signed."""
        signer = self._signing.packages.get(self._writer(target).format) if self._signing else None
        if signer is None:
            yield tuple(files)
            return
        for _, artifact in files:
            names.check_artifact(artifact)
        with disk.room_needed(f"signed packages for {target}"), self._temporary(target) as folder:
            yield published.signed_copies(files, folder, signer)

    def holds(self, target: str, path: Path, artifact: Artifact) -> bool:
        """See Repository.holds."""
        stored = self.artifact_path(target, artifact)
        return stored.is_file() and content_digest(stored) == content_digest(path)

    def add(self, target: str, path: Path, artifact: Artifact) -> Artifact:
        """See Repository.add.

        Raises:
            SourceInvalid: its name is not fit to be published, or it is not a regular file.
            DiskFull: there is no room for it.
        """
        names.check_artifact(artifact)
        with disk.room_needed(artifact.filename):
            root = self._make_target_folder(target)
            pool.add(root, path, artifact)
            bitrot.unmark(root, artifact.pool_path)
        return artifact

    def bring_back(self, target: str, path: Path, artifact: Artifact) -> bool:
        """See PoolMender.bring_back.

        Raises:
            SourceInvalid: it is not a regular file.
            DiskFull: there is no room for it.
        """
        stored = self.artifact_path(target, artifact)
        with disk.room_needed(artifact.filename), self._temporary(target) as folder:
            signed = folder / artifact.filename
            made = [path, signed] if stored.is_file() and signed_like(stored, path, signed) else [path]
            same = next((each for each in made if pool.is_whole(each, artifact.sha256)), None)
            if same is not None:
                self.add(target, same, artifact)
        return same is not None

    def check(self, target: str, files: Sequence[tuple[Path, Artifact]]) -> None:
        """See Repository.check."""
        for _, artifact in files:
            names.check_artifact(artifact)
        with disk.room_needed(f"the metadata of a build for {target}"):
            self._writer(target).check(files)

    def artifact_path(self, target: str, artifact: Artifact) -> Path:
        """See Repository.artifact_path."""
        return self._folder(target) / pool.POOL / names.check_artifact(artifact).pool_path

    def publish(self, new: Snapshot, extras: Mapping[str, bytes]) -> Path:
        """See Repository.publish.

        Raises:
            SourceInvalid: a name or a package is not fit to be published.
            ArtifactDamaged: the pool lacks a file that it lists, or that is not what its build made.
            DiskFull: there is no room for it.
            SigningFailed: it was not signed; nothing was published.
        """
        final = self.snapshot_folder(new.target, new.commit_id)
        if final.is_dir():
            return final
        described = self._describing.of(new)
        keys = self._keys(new.target, new.commit_id, (each for entry in new.entries for each in entry.artifacts))
        components = sorted({entry.component for entry in new.entries})
        client = self._client_file(new.target, names.shard(new.commit_id), keys, components)

        def seal(folder: Path) -> None:
            leading.write(folder, self._mirror_lists(new.target, new.commit_id, folder))
            self._seal(new.target, folder)
            if keys is not None:
                (folder / self._key_name).write_text(keys.armoured, encoding="ascii")

        with disk.room_needed(f"the repository of {new.package} for {new.target}"):
            root = self._make_pool(new.target)
            snapshot.check(new, root, described)
            snapshot.publish(
                new,
                root,
                described=described,
                writer=self._writer(new.target),
                client=client,
                extras=extras,
                seal=seal,
            )
            if keys is not None:
                published.put(root / self._key_name, keys.armoured)
        return final

    def check_pointer(self, target: str, pointer: str, commit_id: str) -> None:
        """See Repository.check_pointer."""
        self._writer(target)
        names.check_pointer(pointer)
        if not self.snapshot_folder(target, commit_id).is_dir():
            raise UnknownName(
                f"{target} has no repository of commit {commit_id}",
                cause="it was never published, or was collected",
            )

    def point(self, target: str, pointer: str, commit_id: str) -> None:
        """See Repository.point.

        Raises:
            UnknownName: there is no such snapshot, or the pointer's name is not possible.
            DiskFull: there is no room for it; the pointer is where it was.
            SigningFailed: clients cannot be told of it; the pointer is where it was.
        """
        self.check_pointer(target, pointer, commit_id)
        how = Redating(
            writer=self._writer(target),
            client_files=lambda: self._client_files(target, commit_id),
            seal=lambda folder: self._seal(target, folder),
            now=self._now(),
        )
        with disk.room_needed(f"the pointer {pointer} of {target}"):
            # A snapshot of an older Conveyor has none, and the tree may be served elsewhere by now.
            folder = self.snapshot_folder(target, commit_id)
            leading.renew(self._folder(target), folder, self._mirror_lists(target, commit_id, folder))
            pointers.move(self._folder(target), pointer, commit_id, how, partial(self._checksummed, target))
            self._link_components(target, pointer, commit_id)

    def unpoint(self, target: str, pointer: str) -> None:
        """See Repository.unpoint."""
        pointers.remove(self._folder(target), pointer)

    def pointed(self, target: str, pointer: str) -> str | None:
        """See Repository.pointed."""
        return pointers.read(self._folder(target), pointer)

    def pointers(self, target: str) -> Mapping[str, str]:
        """See Repository.pointers."""
        return pointers.read_all(self._folder(target))

    def manifest(self, target: str, commit_id: str) -> Manifest:
        """See Repository.manifest."""
        path = self.snapshot_folder(target, commit_id) / snapshot.MANIFEST
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise UnknownName(f"{target} has no repository of commit {commit_id}") from None
        return manifest.read(content, where=str(path))

    def aggregate(self, target: str, commit_id: str) -> str | None:
        """The md5 by which a snapshot's aggregated client file goes; None where it has none, or is not there."""
        try:
            text = (self.snapshot_folder(target, commit_id) / f"{self._client_name}.repo.md5").read_text("ascii")
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return None
        return text.strip()

    def ledger_head(self, target: str) -> str | None:
        """See Repository.ledger_head."""
        try:
            return (self._folder(target) / LEDGER_HEAD).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None

    def set_ledger_head(self, target: str, head: str) -> None:
        """See Repository.set_ledger_head. It is for people who note it elsewhere; no step depends on it.

        Raises:
            DiskFull: there is no room for it.
        """
        root = self._folder(target)
        with disk.room_needed(f"the ledger's head of {target}"), disk.temporary_folder(root) as temporary:
            new = temporary / LEDGER_HEAD
            new.write_text(f"{head}\n", encoding="ascii")
            new.chmod(disk.FILE_MODE)
            new.rename(root / LEDGER_HEAD)

    def snapshot_folder(self, target: str, commit_id: str) -> Path:
        """See Repository.snapshot_folder."""
        return self._folder(target) / names.shard(commit_id)

    def trunk(self, target: str, binaries: Sequence[Artifact], commit_id: str | None = None) -> Trunk | None:
        """See Repository.trunk."""
        commit_id = self.pointed(target, CURRENT) if commit_id is None else commit_id
        if commit_id is None or not self.snapshot_folder(target, commit_id).is_dir():
            return None
        return Trunk(
            folder=self._folder(target),
            snapshot=names.shard(commit_id),
            binaries=tuple(binaries),
            components=self._writer(target).components(self.snapshot_folder(target, commit_id)),
        )

    @contextmanager
    def writing(self, target: str) -> Iterator[None]:
        """See Repository.writing. Waits for its turn; it cannot be nested."""
        with disk.room_needed(f"the lock of {target}"):
            root = self._make_target_folder(target)
        with disk.exclusive(root / LOCK):
            yield

    def clean(self) -> None:
        """See Repository.clean. What a living writer holds stays."""
        if self._root.is_dir():
            for folder in sorted(path for path in self._root.iterdir() if path.is_dir()):
                disk.remove_abandoned(folder)

    @contextmanager
    def _temporary(self, target: str) -> Iterator[Path]:
        with disk.temporary_folder(self._make_target_folder(target)) as folder:
            yield folder

    @property
    def _key_name(self) -> str:
        return f"{self._client_name}{names.KEY_SUFFIX}"

    def _keys(self, target: str, commit_id: str, artifacts: Iterable[Artifact]) -> ClientKeys | None:
        """What clients check a snapshot's signatures with; None where it gets none."""
        if self._signing is None:
            return None
        signer = self._signing.packages.get(self._writer(target).format)
        packages = [artifact for artifact in artifacts if artifact.kind is not ArtifactKind.SUPPORT]
        return ClientKeys(
            url=f"{self.url(target, names.shard(commit_id))}/{self._key_name}",
            armoured=self._signing.signer.public_keys.decode("ascii"),
            packages=signer is not None and self._all_signed(target, packages, signer),
        )

    def _all_signed(self, target: str, packages: Sequence[Artifact], signer: PackageSigner) -> bool:
        """Whether packages carry signatures. What the pool holds never changes: the signed are looked at once."""
        folder, known = self._folder(target) / pool.POOL, self._signed.get(target, frozenset())

        def is_signed(pool_path: str) -> bool:
            if pool_path in known:
                return True
            path = folder / pool_path
            return path.is_file() and signer.has_signature(path)

        paths = [names.check_artifact(package).pool_path for package in packages]
        signed = frozenset(takewhile(is_signed, paths))
        self._signed[target] = signed
        return signed.issuperset(paths)

    def _read_checksummed(self, target: str, commit_id: str) -> tuple[str, ...]:
        return self._writer(target).checksummed(self.snapshot_folder(target, commit_id))

    def _seal(self, target: str, folder: Path) -> None:
        if self._signing is not None:
            published.seal(folder, self._writer(target).to_sign(folder), self._signing.signer)

    def _mirror_lists(self, target: str, commit_id: str, folder: Path) -> Mapping[str, str]:
        return self._writer(target).mirror_lists(folder, self.url(target, names.shard(commit_id)))

    def _link_components(self, target: str, pointer: str, commit_id: str) -> None:
        """Have `component/<component>/<pointer>` lead below the pointer; of `consistent` below the component's own."""
        if not self._writer(target).aggregates():
            return
        for component in self._writer(target).components(self.snapshot_folder(target, commit_id)):
            own = consistent_of(component)
            if pointer == own:
                aggregates.link(self._folder(target), component, CONSISTENT, own)
            elif not follows_builds(pointer) or pointer == CURRENT:
                aggregates.link(self._folder(target), component, pointer, pointer)

    def _artifacts(self, target: str, commit_id: str) -> Iterator[Artifact]:
        """What a published snapshot holds; its manifest is read when the first is asked for."""
        yield from self.manifest(target, commit_id).artifacts

    def _client_files(self, target: str, commit_id: str) -> dict[str, str]:
        """The client file of a snapshot and its keys, as they are where it is signed now."""
        keys = self._keys(target, commit_id, self._artifacts(target, commit_id))
        components = self._writer(target).components(self.snapshot_folder(target, commit_id))
        name, text = self._client_file(target, names.shard(commit_id), keys, components)
        found = {name: text} if keys is None else {name: text, self._key_name: keys.armoured}
        return found | dict([aggregates.md5_file((name, text))]) if self._writer(target).aggregates() else found

    def _client_file(
        self, target: str, place: str, keys: ClientKeys | None, components: Sequence[str] = ()
    ) -> tuple[str, str]:
        return self._writer(target).client_file(
            name=self._client_name,
            title=f"Conveyor {target} {place}",
            url=self.url(target, place),
            keys=keys,
            components=components,
            lasting="/" in place,
        )

    def _writer(self, target: str) -> IndexWriter:
        try:
            return self._writers[target]
        except KeyError:
            raise UnknownName(f"there is no target called {target!r}") from None

    def _folder(self, target: str) -> Path:
        return self._root / names.check_target(target)

    def _make_target_folder(self, target: str) -> Path:
        root = self._folder(target)
        disk.make_folder(root, below=self._root)
        return root

    def _make_pool(self, target: str) -> Path:
        root = self._make_target_folder(target)
        disk.make_folder(root / pool.POOL, below=root)
        return root
