"""Real dnf and apt, after retention: every snapshot that stays can be installed from, whole."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.rpm.metadata import RpmIndexWriter
from conveyor.model.artifact import Artifact
from conveyor.model.build import Claim, Outcome
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.published import Removal, Retention
from conveyor.model.target import Format, Target
from conveyor.pipeline.keeping.collect import Collect
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.publish import Publisher
from conveyor.ports import IndexWriter
from conveyor.repository.collector import TreeCollector
from conveyor.repository.tree import PublishedTree
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import MemoryLedger
from tests.fakes.store import MemoryStore
from tests.support.published import (
    PACKAGING_SHA,
    commit_id_of,
    entry_of,
    make_deb,
    make_dsc,
    make_rpms,
    need,
    sha_of,
)
from tests.support.retention import broken, listed
from tests.support.workshop import TARGET

pytestmark = pytest.mark.integration

Built = list[tuple[Path, Artifact]]
RPM = replace(TARGET, name="centos-10-x86_64", format=Format.RPM, architecture="x86_64")


class Site:
    """Real packages of one target, published by the pipeline's own publisher, and retention on them."""

    def __init__(self, data: Path, target: Target, writer: IndexWriter) -> None:
        self.data = data
        self.target = target
        self.root = data / "repos" / target.name
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock.now)
        self.ledger = MemoryLedger()
        self.tree = PublishedTree(data / "repos", writers={target.name: writer}, base_url=f"file://{data}/repos")
        pointers = Pointers(self.ledger, self.tree, self.clock)
        self.publisher = Publisher(self.store, self.tree, pointers, data, {})
        self.collector = TreeCollector(data / "repos", {target.name: writer})

    def publish(self, package: str, number: int, built: Built) -> str:
        at = self.clock.now()
        upstream = CommitInfo(sha=sha_of(number), committed_at=datetime(2026, 1, 1, tzinfo=UTC), author="", subject="")
        commit = Commit(package=package, upstream=upstream, packaging_sha=PACKAGING_SHA)
        build = self.store.queue(commit, self.target.name, retry=False)
        claim = Claim(token=str(number), host="here", pid=1, process_started=1, heartbeat_at=at)
        assert self.store.claim(build.id, claim) is not None
        with self.publisher.keeping(self.target):
            artifacts = self.publisher.keep(self.target, built)
            entry = replace(entry_of(package, number, artifacts), succeeded_at=at)
            finished = self.store.finish(
                build.id,
                claim.token,
                outcome=Outcome.SUCCEEDED,
                at=at,
                version=entry.version,
                cause=None,
                stages=(),
                entry=entry,
            )
        self.publisher.publish(finished, self.target)
        return commit_id_of(number)

    def collect(self, policy: Retention) -> Removal:
        collect = Collect(
            store=self.store,
            ledger=self.ledger,
            repository=self.tree,
            collector=self.collector,
            clock=self.clock,
            policies={self.target.name: policy},
            builds=self.data / "builds",
        )
        told = collect.run(self.target.name, dry_run=True)
        gone = collect.run(self.target.name, dry_run=False)
        assert gone is not None
        assert gone == told
        return gone


def run(argv: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        argv,
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8", **environment},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def published(site: Site, make: Callable[[str, int], Built]) -> list[str]:
    """hello in six versions, and other, built once and before all of them."""
    site.publish("other", 0, make("other", 0))
    ids = [site.publish("hello", number, make("hello", number)) for number in range(1, 7)]
    with site.tree.writing(site.target.name):
        site.tree.point(site.target.name, "tested", ids[1])
    return ids


def test_dnf_installs_from_every_snapshot_that_stays(tmp_path: Path) -> None:
    need("dnf", "rpmbuild")
    site = Site(tmp_path, RPM, RpmIndexWriter(tmp_path / "cache"))
    ids = published(site, lambda name, number: make_rpms(tmp_path / f"{name}{number}", name, f"1.{number}"))
    gone = site.collect(Retention(newest=2, grace=0))
    assert {each.commit for each in gone.snapshots} == {commit_id_of(0), ids[0], ids[2], ids[3]}
    assert broken(site.root) == []
    (tmp_path / "dnf.conf").write_text("[main]\ngpgcheck=0\n")
    (tmp_path / "repos.d").mkdir()
    for number, place in ((2, "tested"), (6, "current"), (5, site.tree.snapshot_folder(RPM.name, ids[4]))):
        folder = tmp_path / f"client{number}"
        (folder / "log").mkdir(parents=True)
        url = f"file://{site.root / place}"
        options = [f"--installroot={folder}/root", f"--setopt=cachedir={folder}/cache", f"--setopt=logdir={folder}/log"]
        options += [f"--setopt=persistdir={folder}/state", f"--setopt=reposdir={tmp_path}/repos.d", "--releasever=10"]
        options += [f"--config={tmp_path}/dnf.conf", "--noplugins", f"--repofrompath=trunk,{url}"]
        run(["dnf", "-q", "-y", *options, "install", "hello", "other"], folder)
        assert (folder / "root/usr/share/hello/greeting").read_text() == f"1.{number}\n"
        assert (folder / "root/usr/share/other/greeting").read_text() == "1.0\n"


def test_apt_gets_binaries_and_sources_from_every_snapshot_that_stays(tmp_path: Path) -> None:
    need("apt-get", "dpkg-deb", "dpkg-source")

    def make(name: str, number: int) -> Built:
        folder = tmp_path / f"{name}{number}"
        folder.mkdir()
        return [make_deb(folder, name, f"1.{number}-1"), *make_dsc(folder, name, f"1.{number}-1")]

    site = Site(tmp_path, TARGET, DebIndexWriter(tmp_path / "cache"))
    ids = published(site, make)
    before = {path for path in (site.root / "pool").rglob("*") if path.is_symlink()}
    gone = site.collect(Retention(newest=2, grace=0))
    assert {each.commit for each in gone.snapshots} == {commit_id_of(0), ids[0], ids[2], ids[3]}
    after = {path for path in (site.root / "pool").rglob("*") if path.is_symlink()}
    assert (len(before), len(after)) == (14, 8)  # two beside each .dsc: of other, and of three of hello's six
    assert broken(site.root) == []
    for number, place in ((2, "tested"), (6, "current"), (5, site.tree.snapshot_folder(TARGET.name, ids[4]))):
        folder = tmp_path / f"client{number}"
        for path in ("etc/sources.list.d", "etc/preferences.d", "etc/apt.conf.d", "state/lists/partial"):
            (folder / path).mkdir(parents=True)
        (folder / "cache/archives/partial").mkdir(parents=True)
        (folder / "state/status").touch()
        (folder / "etc/sources.list.d/trunk.sources").write_text(
            f"Types: deb deb-src\nURIs: file://{site.root / place}\nSuites: trunk\nComponents: common\nTrusted: yes\n"
        )
        (folder / "apt.conf").write_text(
            f'Dir::Etc "{folder}/etc";\nDir::State "{folder}/state";\nDir::State::status "{folder}/state/status";\n'
            f'Dir::Cache "{folder}/cache";\nAPT::Architecture "amd64";\nAPT::Architectures "amd64";\n'
            'APT::Sandbox::User "";\nAcquire::Languages "none";\n'
        )
        configured = {"APT_CONFIG": f"{folder}/apt.conf"}
        run(["apt-get", "-q", "update"], folder, **configured)
        run(["apt-get", "-q", "download", "hello", "other"], folder, **configured)
        run(["apt-get", "-q", "source", "--download-only", "hello", "other"], folder, **configured)
        found = {path.name for path in folder.iterdir() if path.is_file()} - {"apt.conf"}
        assert {f"hello_1.{number}-1_all.deb", "other_1.0-1_all.deb", f"hello_1.{number}-1.dsc"} <= found
        assert len(found) == 8
        run(["dpkg-deb", "--extract", f"{folder}/hello_1.{number}-1_all.deb", f"{folder}/root"], folder)
        assert (folder / "root/usr/share/hello/greeting").read_text() == f"1.{number}-1"
    kept = {Path(path).name for path in listed(site.root)}
    assert "hello_1.1-1.dsc" not in kept
