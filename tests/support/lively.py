"""A site full of life: many packages, what failed, what runs and waits, snapshots that were published, votes."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from conveyor.command import process_started
from conveyor.errors import Fault
from conveyor.model.access import Deed, Means, Permission, Result, Token, User
from conveyor.model.artifact import Artifact, ArtifactKind, SnapshotEntry
from conveyor.model.build import Build, Cause, Claim, Outcome, Stage, StageTime
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.lease import DAEMON, Lease
from conveyor.model.promotion import Vote
from conveyor.model.queue import Change, NewBuild, Pause, Priority, Reason, ReasonKind, Scope, ScopeKind
from conveyor.model.watch import Head, Side
from conveyor.pipeline.access import secrets
from conveyor.store import Books, open_books
from tests.fakes.store_samples import provenance, sha1
from tests.support.access import PASSWORD, QUICK
from tests.support.daemons import QuickSite
from tests.support.site import DEB, RPM

NAMES = [
    "aodh",
    "barbican",
    "ceilometer",
    "cinder",
    "cloudkitty",
    "designate",
    "glance",
    "heat",
    "horizon",
    "ironic",
    "keystone",
    "magnum",
    "manila",
    "mistral",
    "neutron",
    "nova",
    "octavia",
    "oslo.cache",
    "oslo.concurrency",
    "oslo.config",
    "oslo.db",
    "oslo.i18n",
    "oslo.log",
    "oslo.messaging",
    "oslo.policy",
    "oslo.serialization",
    "oslo.service",
    "oslo.utils",
    "python-cinderclient",
    "python-glanceclient",
    "python-keystoneclient",
    "python-novaclient",
    "sahara",
    "swift",
    "tooz",
    "trove",
    "watcher",
    "zaqar",
]
FAILING = {"heat": RPM, "octavia": RPM, "watcher": DEB, "oslo.messaging": RPM}
ERRORED = {"trove": DEB}
RUNNING = ("nova", "neutron")
WAITING = ("cinder", "glance", "keystone", "swift", "ironic", "manila", "magnum", "horizon")
NEVER = "zaqar"
PEOPLE = {
    "ada": frozenset([Permission.ADMIN]),
    "grace": frozenset([Permission.RETRY, Permission.PROMOTE]),
    "heidi": frozenset([Permission.READ]),
}
SUBJECTS = (
    "Fix the order of arguments in the scheduler's filter",
    "Add a health check for the API workers",
    "Drop support for Python 3.9",
    'Merge "Report allocation candidates by their traits"',
    "Use the same connection for both transactions",
    "Document how to upgrade without downtime",
    "[stable] Do not lose the lock when a heartbeat comes late",
)
AUTHORS = ("Ada Lovelace", "Grace Hopper", "Katherine Johnson", "Margaret Hamilton", "Radia Perlman")
CAUSES = {
    "heat": (Stage.BUILD, "TestsFailed", "3 of 4,211 tests failed: test_stack_update_rollback and 2 more"),
    "octavia": (
        Stage.BUILDROOT,
        "BuildDependencyMissing",
        "a dependency cannot be satisfied: python3dist(taskflow) >= 5.9",
    ),
    "watcher": (
        Stage.BUILD,
        "BuildFailed",
        "dpkg-buildpackage failed with code 2: dh_missing: usr/bin/watcher-sync is installed nowhere",
    ),
    "oslo.messaging": (
        Stage.INSTALL,
        "NotInstallable",
        "python3-oslo-messaging needs python3-kombu >= 5.4, and 5.2.3 is the newest",
    ),
    "trove": (Stage.BASE, "MirrorUnreachable", "the mirror does not answer: deb.example.org: timed out after 60 s"),
}
LOG = """\
test_stack_update_rollback (heat.tests.test_stack_update.StackUpdateTest) ... FAIL
  File "/build/heat/tests/test_stack_update.py", line 1893, in test_stack_update_rollback
    self.assertEqual((stack.UPDATE, stack.COMPLETE), self.stack.state)
AssertionError: ('UPDATE', 'COMPLETE') != ('ROLLBACK', 'COMPLETE')
error: Bad exit status from /var/tmp/rpm-tmp.Xq3Wc1 (%check)""".splitlines()
# What upstream may write: markup, escape sequences, marks that turn text.
HOSTILE = "<script>document.title='owned'</script> \x1b[31mred\x1b[0m \u202egnitset <img src=x onerror=alert(1)>"


class Lively:
    """Makes the site.

    Args:
        folder: empty folder for all of it.
        packages: how many packages there are beside those that are really built.
    """

    def __init__(self, folder: Path, packages: int = len(NAMES)) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.site = QuickSite(folder)
        self._random = random.Random(7)
        self._names = NAMES[:packages]
        self._count = 0
        self._at = self.now

    def fill(self) -> QuickSite:
        """Make it: what is really built and published first, then what the store alone knows."""
        self._publish()
        self._configure()
        books = open_books(self.site.database, now=lambda: self._at)
        try:
            self._claim_daemon(books)
            for name in self._names:
                for target in (DEB, RPM):
                    self._history(books, name, target)
            self._fail(books)
            self._queue(books)
            self._run(books)
            self._tell(books)
            self._let_in(books)
        finally:
            books.store.close()
        return self.site

    def _publish(self) -> None:
        site = self.site
        for name in ("greeter", "farewell", "thanks"):
            site.add(name)
        assert site.once() == 0
        for promotion in ("tested", "production"):
            said = site.run(
                "promote",
                "current" if promotion == "tested" else "consistent",
                promotion,
                "--note",
                "All jobs are green",
            )
            assert said.code == 0, said.err

    def _configure(self) -> None:
        site = self.site
        site.targets[RPM] = (
            '{format: rpm, release: "1", dist: local1, naming: rdo, repositories: [{name: os, url: /os, key: none}]}'
        )
        for name in [*site.packages]:
            site.packages[name] = f"{site.packages[name][:-1]}, targets: [{DEB}]}}"
        for name in self._names:
            site.packages[name] = (
                f'{{upstream: "https://git.example.org/openstack/{name}", packaging: "https://git.example.org/rpms/{name}",'
                f' maintainers: ["Ada Lovelace <ada@example.org>"]}}'
            )
        site.configure()
        text = (site.folder / "repos.yaml").read_text()
        (site.folder / "repos.yaml").write_text(
            f"{text}promotions:\n  tested: {{targets: [{DEB}], votes: [tempest-full]}}\n"
            f"  production: {{targets: [{DEB}], min_age: 2h}}\n"
        )

    def _claim_daemon(self, books: Books) -> None:
        lease = Lease(
            name=DAEMON,
            token="lively",
            host=platform.node(),
            pid=os.getpid(),
            process_started=process_started(os.getpid()) or 0,
            since=self.now - timedelta(days=3),
            heartbeat_at=self.now,
        )
        books.leases.take(lease, lost_after=60)

    def _history(self, books: Books, name: str, target: str) -> None:
        if name == NEVER:
            return
        # The same on both targets: it is one commit.
        ages = random.Random(name)
        age = ages.uniform(0.5, 30)
        for number in range(4, 0, -1):
            committed_at = self.now - timedelta(hours=age * number, minutes=ages.uniform(5, 50))
            at = committed_at + timedelta(seconds=self._random.uniform(40, 1500) ** 1.05)
            self._build(books, self._commit(name, number, committed_at), target, at)

    def _fail(self, books: Books) -> None:
        for failed, outcome in ((FAILING, Outcome.FAILED), (ERRORED, Outcome.ERRORED)):
            for name, target in failed.items():
                if name in self._names:
                    at = self.now - timedelta(minutes=self._random.uniform(5, 25))
                    self._build(books, self._commit(name, 0, at - timedelta(minutes=7)), target, at, outcome)

    def _queue(self, books: Books) -> None:
        reason = Reason(kind=ReasonKind.NEW_COMMIT, detail="1a2b3c4")
        builds = tuple(
            NewBuild(commit=self._commit(name, 0), target=target, priority=Priority.FRESH, reason=reason)
            for name in WAITING
            if name in self._names
            for target in (DEB, RPM)
        )
        books.queue.apply(Change(builds=builds, heads=tuple(self._heads())), self.now - timedelta(minutes=4))
        scope = Scope(kind=ScopeKind.PACKAGE, name="horizon")
        books.queue.pause(
            Pause(scope=scope, actor="grace", note="the new theme breaks", at=self.now - timedelta(hours=2))
        )

    def _heads(self) -> Iterator[Head]:
        for name in self._names:
            yield Head(
                package=name,
                side=Side.UPSTREAM,
                url=f"https://git.example.org/openstack/{name}",
                ref="master",
                sha=self._commit(name, 0).upstream.sha,
                at=self.now - timedelta(minutes=4),
            )

    def _run(self, books: Books) -> None:
        stages = {DEB: Stage.BUILD, RPM: Stage.BUILDROOT}
        for name in RUNNING:
            if name not in self._names:
                continue
            for target, stage in stages.items():
                at = self._at = self.now - timedelta(seconds=self._random.uniform(20, 90))
                queued = books.store.queue(self._commit(name, 0), target, retry=True)
                claimed = books.store.claim(queued.id, self._claim(at))
                assert claimed is not None
                folder = self.site.data / f"builds/{queued.id}/1"
                folder.mkdir(parents=True)
                (folder / "stage").write_text(stage)
                (folder / "log").write_text(
                    "== render ==\n== source ==\n" + "".join(f"line {n} of the build\n" for n in range(60))
                )
                books.store.set_log(
                    queued.id, claimed.claim.token if claimed.claim else "", f"builds/{queued.id}/1/log"
                )

    def _tell(self, books: Books) -> None:
        for name, target in {**FAILING, **ERRORED}.items():
            found = books.store.builds(package=name, target=target, limit=1)
            if found:
                kind = EventKind.ERRORED if name in ERRORED else EventKind.FAILED
                summary = f"{name} {kind} on {target}: {CAUSES[name][2]}"
                books.events.record(
                    [NewEvent(kind=kind, summary=summary, package=name, target=target, build=found[0].id)],
                    self.now - timedelta(minutes=self._random.uniform(5, 60)),
                )
        for build in books.store.builds(target=DEB, trunk=True, limit=300):
            if build.published and build.commit.package in self.site.upstreams:
                for job, success in (("tempest-full", True), ("upgrade", None), ("lint", False)):
                    books.votes.add(self._vote(build.commit.id, job, success))

    def _let_in(self, books: Books) -> None:
        """Tokens and users, and what they did."""
        for name, permissions, expires, revoked in (
            ("tempest-ci", (Permission.VOTE,), timedelta(days=80), None),
            ("release-bot", (Permission.PROMOTE, Permission.RETRY), None, None),
            ("old-ci", (Permission.VOTE, Permission.PROMOTE), -timedelta(days=3), None),
            ("leaked", (Permission.ADMIN,), None, timedelta(hours=5)),
        ):
            token = Token(
                name=name,
                digest=secrets.digest(name),
                permissions=frozenset(permissions),
                created_at=self.now - timedelta(days=10),
                created_by="ada",
                expires_at=None if expires is None else self.now + expires,
            )
            books.tokens.add(token)
            if revoked is not None:
                books.tokens.revoke(name, self.now - revoked)
        books.tokens.used(secrets.digest("tempest-ci"), self.now - timedelta(minutes=12))
        at = self.now - timedelta(days=20)
        for name, allowed in PEOPLE.items():
            books.users.add(
                User(name=name, password=QUICK.hash(PASSWORD), permissions=allowed, created_at=at, changed_at=at)
            )
        books.users.set_disabled("heidi", self.now - timedelta(days=2), disabled=True)
        for minutes, deed in enumerate(self._deeds()):
            books.audit.record(replace(deed, at=self.now - timedelta(minutes=40 - minutes)))

    def _deeds(self) -> Iterator[Deed]:
        command = Deed(at=self.now, actor="root", means=Means.COMMAND, action="", result=Result.DONE)
        yield replace(command, action="user create", subject="ada", detail={"may": ["admin"]})
        yield replace(command, action="token create", subject="tempest-ci", detail={"may": ["vote"], "lasts": 7776000})
        token = replace(command, actor="tempest-ci", means=Means.TOKEN, address="192.0.2.17")
        yield replace(token, action="POST /api/v1/votes/{commit}", subject=sha1("nova"), detail={"status": 201})
        refused = replace(token, action="POST /api/v1/promotions/{name}", subject="production", result=Result.REFUSED)
        yield replace(refused, detail={"error": "tempest-ci may not do this: it needs the permission promote"})
        person = replace(command, actor="grace", means=Means.SESSION, address="2001:db8:17::4")
        retry = replace(person, action="POST /builds/{number}/retry", subject="301")
        yield replace(retry, detail={"status": 303})
        yield replace(retry, result=Result.FAILED, detail={"error": HOSTILE})
        yield replace(person, actor="ada", action="token revoke", subject="leaked")

    def _vote(self, subject: str, job: str, success: bool | None) -> Vote:
        return Vote(
            subject=subject,
            target=DEB,
            job=job,
            success=success,
            url="https://ci.example.org/job/17",
            notes=HOSTILE if success is False else "",
            user="ci",
            at=self.now - timedelta(minutes=12),
        )

    def _commit(self, name: str, number: int, at: datetime | None = None) -> Commit:
        """The `number`th newest commit of a package; 0 is the newest."""
        hostile = name == "heat" and number == 0
        info = CommitInfo(
            sha=sha1(f"{name} {number}"),
            committed_at=at or self.now - timedelta(minutes=9),
            author=HOSTILE if hostile else AUTHORS[(number + len(name)) % len(AUTHORS)],
            subject=HOSTILE if hostile else SUBJECTS[(number * 3 + len(name)) % len(SUBJECTS)],
        )
        return Commit(package=name, upstream=info, packaging_sha=sha1(f"packaging of {name}"))

    def _claim(self, at: datetime) -> Claim:
        self._count += 1
        pid = os.getpid()
        return Claim(
            token=f"lively {self._count}",
            host=platform.node(),
            pid=pid,
            process_started=process_started(pid) or 0,
            heartbeat_at=at,
        )

    def _build(
        self, books: Books, commit: Commit, target: str, at: datetime, outcome: Outcome = Outcome.SUCCEEDED
    ) -> Build:
        self._at = at - timedelta(seconds=self._random.uniform(2, 30))
        claimed = books.store.claim(books.store.queue(commit, target, retry=True).id, self._claim(at))
        assert claimed is not None
        assert claimed.claim is not None
        good = outcome is Outcome.SUCCEEDED
        stages = self._stages(None if good else CAUSES[commit.package][0])
        ended = at + timedelta(seconds=sum(each.seconds for each in stages))
        version = f"29.1.0~dev{claimed.id}-1" if target == DEB else f"29.1.0~dev{claimed.id}-1.local1"
        if not good:
            self._write_log(books, claimed)
        build = books.store.finish(
            claimed.id,
            claimed.claim.token,
            outcome=outcome,
            at=ended,
            version=version if good else None,
            cause=None if good else self._cause(commit.package),
            stages=stages,
            entry=self._entry(commit, version, ended, target) if good else None,
            provenance=provenance("gcc", "make", "python3-setuptools") if good else None,
        )
        self._at = ended
        return books.store.mark_published(build.id, 0.2) if good else build

    def _write_log(self, books: Books, build: Build) -> None:
        folder = self.site.data / f"builds/{build.id}/{build.attempt}"
        folder.mkdir(parents=True)
        (folder / "log").write_text("\n".join(["== build ==", *LOG, HOSTILE]) + "\n")
        assert build.claim is not None
        books.store.set_log(build.id, build.claim.token, f"builds/{build.id}/{build.attempt}/log")

    def _stages(self, last: Stage | None) -> tuple[StageTime, ...]:
        shares = {
            Stage.RENDER: 0.1,
            Stage.SOURCE: 0.9,
            Stage.BUILDROOT: 1.5,
            Stage.BUILD: 30,
            Stage.CHECK: 0.2,
            Stage.INSTALL: 2.5,
        }
        return tuple(
            StageTime(stage=stage, seconds=round(share * self._random.uniform(0.6, 1.8), 2))
            for stage, share in shares.items()
            if last is None or list(Stage).index(stage) <= list(Stage).index(last)
        )

    def _cause(self, name: str) -> Cause:
        stage, kind, summary = CAUSES[name]
        fault = Fault.NETWORK if name in ERRORED else Fault.PACKAGE
        return Cause(
            fault=fault,
            stage=stage,
            kind=kind,
            summary=summary,
            hint="",
            details=tuple([*LOG, HOSTILE] if name == "heat" else LOG[-1:]),
        )

    def _entry(self, commit: Commit, version: str, at: datetime, target: str) -> SnapshotEntry:
        return SnapshotEntry(
            package=commit.package,
            upstream_url=f"https://git.example.org/openstack/{commit.package}",
            upstream_sha=commit.upstream.sha,
            packaging_url=f"https://git.example.org/rpms/{commit.package}",
            packaging_sha=commit.packaging_sha,
            extended="",
            component="compute",
            version=version,
            succeeded_at=at,
            latest_succeeded=True,
            artifacts=tuple(_artifacts(commit.package, version, target)),
        )


def _artifacts(name: str, version: str, target: str) -> Iterator[Artifact]:
    suffix, source = ("all.deb", ".dsc") if target == DEB else ("noarch.rpm", ".src.rpm")
    for kind, filename in (
        (ArtifactKind.BINARY, f"python3-{name}_{version}_{suffix}"),
        (ArtifactKind.SOURCE, f"{name}_{version}{source}"),
    ):
        yield Artifact(
            filename=filename,
            sha256=(sha1(filename) * 2)[:64],
            size=183_000 if kind is ArtifactKind.BINARY else 2_400_000,
            kind=kind,
            name=f"python3-{name}",
            version=version,
            architecture="all",
        )
