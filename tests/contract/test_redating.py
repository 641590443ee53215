"""Where pointers that move back lead: to what apt takes for newer. The real apt: test_index_writers.py."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor.errors import SigningFailed
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.ports import Signer
from conveyor.repository import names
from conveyor.repository.signing.published import Signing
from conveyor.repository.tree import PublishedTree
from tests.fakes.signer import FakeSigner
from tests.support.published import DAY_ONE, commit_id_of, entry_of, plain_artifact, snapshot_of

TARGET = "debian-13-amd64"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RELEASE = "dists/trunk/Release"


class Site:
    """A target's tree with three snapshots, each a minute newer than the one before."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self._folder = folder
        self.writer = DebIndexWriter(folder / "cache")
        self.tree = self.tree_of(None)
        self.root = folder / "repos" / TARGET
        for number in range(3):
            path, artifact = plain_artifact(folder, f"nova-{number}.txt", str(number).encode())
            self.tree.add(TARGET, path, artifact)
            snapshot = snapshot_of(TARGET, "amd64", number, entry_of("nova", number, (artifact,)))
            self.tree.publish(snapshot, {"logs/build.log": b"fine\n"})

    def tree_of(self, signer: Signer | None) -> PublishedTree:
        """The tree as it is written to by a publisher that signs, or does not."""
        return PublishedTree(
            self._folder / "repos",
            writers={TARGET: self.writer},
            base_url="https://trunk.example.org",
            signing=None if signer is None else Signing(signer=signer, packages={}),
            now=lambda: self.now,
        )

    def point(self, *numbers: int, pointer: str = "tested") -> None:
        for number in numbers:
            self.tree.point(TARGET, pointer, commit_id_of(number))

    def folder(self, number: int) -> Path:
        return self.tree.snapshot_folder(TARGET, commit_id_of(number))

    def place(self, pointer: str = "tested") -> str:
        return str((self.root / pointer).readlink())

    def date(self, pointer: str = "tested") -> datetime | None:
        return self.writer.dated(self.root / pointer)

    def stand_ins(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob(".redated/*/*"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def files_of(folder: Path) -> dict[str, bytes]:
    """What a client can read below a folder; symlinks are followed."""
    found = {}
    for parent, folders, leaves in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name not in {"pool", "by-hash"}]
        for name in leaves:
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def stand_in(number: int, date: datetime = NOON) -> str:
    return f".redated/{date:%Y%m%dT%H%M%SZ}/{commit_id_of(number)}"


def test_a_pointer_that_moves_on_leads_to_the_snapshot_itself(site: Site) -> None:
    for number in range(3):
        site.point(number)
        assert site.root / site.place() == site.folder(number)
    assert not (site.root / ".redated").exists()


def test_one_that_moves_back_leads_to_the_same_with_a_later_date(site: Site) -> None:
    snapshot = files_of(site.folder(0))
    site.point(1, 0)

    assert site.place() == stand_in(0)
    assert site.tree.pointed(TARGET, "tested") == site.tree.pointers(TARGET)["tested"] == commit_id_of(0)
    assert site.date() == NOON
    assert files_of(site.folder(0)) == snapshot
    shown = files_of(site.root / "tested")
    dates = b"Date: Mon, 01 Jan 2024 12:00:00 GMT", b"Date: Sun, 01 Mar 2026 12:00:00 GMT"
    assert shown.pop(RELEASE) == snapshot.pop(RELEASE).replace(*dates)
    assert shown == snapshot
    assert len(shown) > 8
    assert (site.root / "tested/pool").resolve() == site.root / "pool"
    assert list((site.root / "tested/dists/trunk/common/binary-amd64/by-hash/SHA256").iterdir())


def test_a_clock_that_is_behind_does_not_matter(site: Site) -> None:
    site.now = DAY_ONE - timedelta(days=1)
    site.point(2, 1, 0)

    assert site.place() == stand_in(0, DAY_ONE + timedelta(minutes=2))
    assert site.date() == DAY_ONE + timedelta(minutes=2)


def test_dates_never_go_back_nor_run_ahead_of_the_clock(site: Site) -> None:
    dates = []
    for number in (0, 2, 1, 0, 2, 0, 1, 2):
        site.point(number)
        dates.append(site.date())
    site.now += timedelta(hours=1, microseconds=5)
    for number in (0, 1):
        site.point(number)
        dates.append(site.date())
    known = [date for date in dates if date is not None]

    assert len(known) == 10
    assert known == sorted(known)
    assert known[2:] == [NOON] * 6 + [NOON + timedelta(hours=1)] + [NOON + timedelta(hours=1)]


def test_each_move_gives_entry_files_a_later_second(site: Site) -> None:
    """HTTP cannot tell two moments of one second apart, and servers say that nothing has changed."""
    seconds = []
    for number in (0, 1, 2, 0, 1, 0, 2):
        site.point(number)
        seconds.append(int((site.root / "tested" / RELEASE).stat().st_mtime))

    assert seconds == sorted(set(seconds))


def test_pointing_there_again_changes_nothing(site: Site) -> None:
    site.point(1, 0)
    before = (site.root / "tested" / RELEASE).stat()
    site.now += timedelta(hours=1)
    site.point(0)

    assert site.place() == stand_in(0)
    assert (site.root / "tested" / RELEASE).stat() == before


def test_what_no_pointer_leads_to_is_removed_with_the_next_move_but_one(site: Site) -> None:
    """A client may be on its way into the one that was led to until now."""
    site.point(1, 0, pointer="current")
    site.point(1, 0)
    assert site.stand_ins() == [stand_in(0)]

    site.now += timedelta(hours=1)
    site.point(2, pointer="current")
    assert site.stand_ins() == [stand_in(0), stand_in(2, site.now)]
    site.point(2)
    assert site.stand_ins() == [stand_in(0), stand_in(2, site.now)]
    site.now += timedelta(hours=1)
    site.point(1)
    assert stand_in(0) not in site.stand_ins()
    assert not (site.root / ".redated" / f"{NOON:%Y%m%dT%H%M%SZ}").exists()
    for pointer in ("current", "tested"):
        assert (site.root / pointer / RELEASE).is_file()


def test_a_signature_of_another_date_is_not_shown(site: Site) -> None:
    for name in ("InRelease", "Release.gpg"):
        (site.folder(0) / "dists/trunk" / name).write_text("signed")
    site.point(1, 0)

    assert [path.name for path in sorted((site.root / "tested/dists/trunk").iterdir())] == ["Release", "common"]


def test_what_stands_in_is_signed_as_the_repository_is_now(site: Site) -> None:
    """The snapshots are older than the key, and so are their client files."""
    snapshot = files_of(site.folder(0))
    site.tree = site.tree_of(FakeSigner())
    site.point(1, 0)
    suite, signer = site.root / "tested/dists/trunk", FakeSigner()
    release = (suite / "Release").read_bytes()

    assert b"Sun, 01 Mar 2026" in release
    assert (suite / "InRelease").read_bytes() == signer.clear_sign(release)
    assert (suite / "Release.gpg").read_bytes() == signer.sign(release)
    name, text = site.tree.client_file(TARGET, "tested")
    assert "https://trunk.example.org/debian-13-amd64/tested\n" in text
    assert "Signed-By:" in text
    shown = (site.root / "tested" / name).read_text()
    assert shown == text.replace(f"/{TARGET}/tested", f"/{TARGET}/{names.shard(commit_id_of(0))}").replace(
        "debian-13-amd64 tested", f"debian-13-amd64 {names.shard(commit_id_of(0))}"
    )
    assert files_of(site.folder(0)) == snapshot


def test_without_a_signature_the_pointer_stays(site: Site) -> None:
    signer = FakeSigner()
    signer.locked = True
    site.point(1)
    site.tree = site.tree_of(signer)
    with pytest.raises(SigningFailed):
        site.point(0)
    assert site.root / site.place() == site.folder(1)
    assert site.stand_ins() == []
    assert list(site.root.glob(".tmp-*")) == []


def test_it_is_readable_by_all_whatever_the_umask(site: Site) -> None:
    old = os.umask(0o077)
    try:
        site.point(1, 0)
    finally:
        os.umask(old)
    found = [site.root / ".redated", *(site.root / ".redated").rglob("*")]
    for path in (path for path in found if not path.is_symlink()):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_a_pointer_can_leave_what_is_damaged_or_gone(site: Site) -> None:
    site.point(2)
    (site.folder(2) / RELEASE).unlink()
    site.point(0)
    assert site.root / site.place() == site.folder(0)
