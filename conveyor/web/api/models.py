"""The documents of the API, as OpenAPI describes them. docs/json.md says what each field means."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from conveyor.errors import Fault
from conveyor.model.access import Means, Permission
from conveyor.model.access import Result as DeedResult
from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import Outcome, Stage, State
from conveyor.model.event import EventKind
from conveyor.model.notice import Channel
from conveyor.model.order import OrderState
from conveyor.model.promotion import MoveKind
from conveyor.model.queue import ReasonKind, ScopeKind
from conveyor.model.target import BuilderKind, Format
from conveyor.model.why import Subject
from conveyor.pipeline.looking.travel import Way

Name = Annotated[str, Field(min_length=1, max_length=200)]
AccessName = Annotated[str, Field(min_length=1, max_length=100, examples=["tempest-ci"])]
Password = Annotated[str, Field(min_length=1, max_length=1024, json_schema_extra={"format": "password"})]
Words = Annotated[str, Field(max_length=1000)]
Sha = Annotated[str, Field(examples=["9c6b057a2b9d96a4067a749ee3b3b0158d390cf1"])]
CommitId = Annotated[str, Field(examples=["9c6b057a2b9d96a4067a749ee3b3b0158d390cf1_5d847493"])]
PriorityName = Literal["urgent", "request", "fresh", "backlog", "rebuild"]
EndingName = Literal["ended", "by-daemon", "interrupted", "gone", "elsewhere"]


class Document(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


class Versioned(Document):
    """A whole answer."""

    format_version: Literal[1]


class StageDocument(Document):
    """A stage that has ended."""

    stage: Stage
    seconds: float


class CauseDocument(Document):
    """Why a build did not succeed."""

    fault: Fault
    stage: Stage | None
    kind: str = Field(examples=["BuildDependencyMissing"])
    summary: str
    hint: str
    details: list[str]


class BuildDocument(Document):
    """A build."""

    id: int
    package: str = Field(examples=["nova"])
    target: str = Field(examples=["debian-12-amd64"])
    commit_id: CommitId
    upstream_sha: Sha
    packaging_sha: Sha
    version: str | None
    state: State
    outcome: Outcome | None
    attempt: int
    published: bool
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    stages: list[StageDocument]
    cause: CauseDocument | None


class BuildsPage(Versioned):
    """A page of builds, newest first."""

    builds: list[BuildDocument]
    next: str | None = Field(description="The cursor of the page after this one; null where this is the last.")


class ReasonDocument(Document):
    """Why a build was put into the queue."""

    kind: ReasonKind
    detail: str
    build: int | None
    cascade: int
    priority: PriorityName


class LogDocument(Document):
    """A log."""

    url: str
    size: int | None = Field(description="Its bytes; null where it is gone.")


class AttemptDocument(Document):
    """One try at a build."""

    number: int
    outcome: Outcome | None
    cause: CauseDocument | None
    stages: list[StageDocument]
    queued_at: datetime
    started_at: datetime
    finished_at: datetime | None
    buildroot: str | None
    log: LogDocument | None


class CommitDocument(Document):
    """An upstream commit. Author and subject are the upstream's text."""

    sha: Sha
    committed_at: datetime
    author: str
    subject: str


class OneBuild(Versioned):
    """A build, with what is told of one only."""

    build: BuildDocument
    commit: CommitDocument
    trunk: bool
    reason: ReasonDocument
    flaky: bool
    cancelled_by: str | None
    ended: str | None
    errors: int
    not_before: datetime | None
    log: LogDocument | None
    snapshot: str | None = Field(description="URL of its snapshot; null where there is none, or it was collected.")


class Attempts(Versioned):
    """The attempts of a build, the first one first."""

    attempts: list[AttemptDocument]


class ArtifactDocument(Document):
    """A file that a build made."""

    filename: str
    sha256: str
    size: int
    kind: ArtifactKind
    name: str
    version: str
    architecture: str
    url: str | None = Field(description="Where it is; null where its snapshot is not published, or was collected.")


class Artifacts(Versioned):
    """The files of a build."""

    artifacts: list[ArtifactDocument]


class InstalledDocument(Document):
    """A package in the root of a build."""

    name: str
    version: str
    architecture: str


class ProvenanceDocument(Versioned):
    """How a build was made."""

    builder: BuilderKind
    conveyor_version: str
    upstream_branch: str
    packaging_branch: str | None
    packaging_commit: str | None
    packaged_at: datetime | None
    bootstrap: bool
    buildroot: list[InstalledDocument] | None


class CommitBuilds(Versioned):
    """A commit across all targets."""

    commit: CommitDocument
    builds: list[BuildDocument]


class DaemonDocument(Document):
    """Whether a daemon runs."""

    runs: bool
    host: str | None
    pid: int | None
    since: datetime | None
    heartbeat_at: datetime | None


class RunningDocument(Document):
    """A build that runs."""

    build: int
    package: str
    target: str
    commit_id: CommitId
    attempt: int
    started_at: datetime | None
    stage: Stage | None
    stage_since: datetime | None
    host: str | None
    pid: int | None
    gone: bool
    cancelled_by: str | None


class WaitingDocument(Document):
    """A build that waits."""

    build: int
    package: str
    target: str
    commit_id: CommitId
    place: int
    priority: PriorityName
    queued_at: datetime
    not_before: datetime | None
    errors: int
    why: str | None


class PauseDocument(Document):
    """What is paused."""

    scope: ScopeKind
    name: str | None
    actor: str
    note: str
    at: datetime


class CycleDocument(Document):
    """Packages that build-depend on each other."""

    target: str
    packages: list[str]
    way: list[str]
    bootstrap: list[str]
    unordered: list[str]


class QueueDocument(Versioned):
    """The queue."""

    at: datetime
    daemon: DaemonDocument
    pauses: list[PauseDocument]
    cycles: list[CycleDocument]
    running: list[RunningDocument]
    waiting: list[WaitingDocument]
    count: int


class StandingDocument(Document):
    """Where a pointer stands."""

    target: str
    pointer: str
    commit_id: CommitId | None
    published_at: datetime | None
    held_back: list[str]


class Pointers(Versioned):
    """Where pointers stand."""

    standings: list[StandingDocument]


class MirrorDocument(Document):
    """How a mirror stands with a target."""

    mirror: str
    target: str
    behind: bool
    synced_at: datetime | None
    failed_at: datetime | None
    failures: int
    cause: str | None
    next_try: datetime | None


class Mirrors(Versioned):
    """How mirrors stand."""

    mirrors: list[MirrorDocument]


class StatusDocument(Versioned):
    """How everything stands."""

    builds: list[BuildDocument]
    flaky: list[int]
    working_copies: list[BuildDocument]
    daemon: DaemonDocument
    running: list[RunningDocument]
    waiting: int
    pointers: dict[str, dict[str, str | None]]
    standings: list[StandingDocument]
    mirrors: list[MirrorDocument]
    signed_by: str | None
    unsigned: str | None


class PackageDocument(Document):
    """A package of repos.yaml."""

    name: str
    upstream: str
    branch: str
    packaging: str = Field(description="URL of the packaging's repository, or the name of its folder.")
    targets: list[str]
    version_scheme: str
    maintainers: list[str]
    component: str
    builds: list[BuildDocument] = Field(description="Its latest build on each target that it was built for.")
    flaky: list[int]


class OnePackage(Versioned):
    """A package."""

    package: PackageDocument


class PackagesPage(Versioned):
    """A page of packages, by name."""

    packages: list[PackageDocument]
    next: str | None


class TargetDocument(Document):
    """A target of repos.yaml."""

    name: str
    format: Format
    architecture: str
    builder: BuilderKind
    packages: int = Field(description="How many packages are built for it.")
    counts: dict[str, int] = Field(description="How many of them stand so, by outcome, or state before the first.")
    waiting: int


class Targets(Versioned):
    """The targets."""

    targets: list[TargetDocument]


class PromotionDocument(Document):
    """A promotion of repos.yaml, and what it needs."""

    name: str
    targets: list[str]
    together: bool
    votes: list[str]
    min_age: int = Field(description="Seconds.")
    succeeded_on: list[str]
    automatic: bool


class Promotions(Versioned):
    """The promotions."""

    promotions: list[PromotionDocument]


class EntryDocument(Document):
    """An entry of the ledger."""

    number: int
    move: int
    kind: MoveKind
    actor: str
    note: str
    evidence: dict[str, Any]
    keep: bool
    at: datetime
    target: str
    pointer: str
    before: str | None
    after: str
    previous: str
    hash: str


class Entries(Versioned):
    """Entries of the ledger."""

    entries: list[EntryDocument]


class Rolled(Entries):
    """What the ledger has of a rollback."""

    problems: list[str] = Field(description="What could not be cleared up before.")


class Planned(Document):
    """Where a promotion would lead."""

    target: str
    before: str | None
    after: str


class Plan(Versioned):
    """What a promotion would do."""

    plan: list[Planned]


class Verified(Versioned):
    """A ledger that is what was written."""

    entries: int
    last: EntryDocument | None
    head: str | None = Field(description="NUMBER:HASH of its last entry, to note elsewhere.")


class VoteDocument(Document):
    """What a test says. The notes may hold anything."""

    job: str
    target: str | None
    success: bool | None
    url: str | None
    notes: str
    user: str
    at: datetime


class Votes(Versioned):
    """What tests said of a commit."""

    commit: CommitId
    votes: list[VoteDocument]


class Voted(Versioned):
    """A vote that was taken."""

    commit: CommitId
    vote: VoteDocument
    problems: list[str] = Field(description="What kept promotions that wait for it from moving.")


class EventDocument(Document):
    """Something that happened. The summary may hold the upstream's text."""

    number: int
    at: datetime
    kind: EventKind
    summary: str
    package: str | None
    target: str | None
    build: int | None
    detail: dict[str, Any]


class EventsPage(Versioned):
    """Events, the newest last; `next` leads to older ones."""

    events: list[EventDocument]
    next: str | None


class WhyDocument(Document):
    """Why something is as it is."""

    subject: Subject
    name: str
    about: str
    state: str
    summary: str
    lines: list[str]
    log: list[str]
    hint: str
    because: list[WhyDocument]


class WhyAnswer(Versioned):
    """Why something is as it is."""

    why: WhyDocument


class SnapshotDocument(Document):
    """A published snapshot."""

    build: int
    target: str
    commit_id: CommitId
    package: str
    version: str
    published_at: datetime
    collected_at: datetime | None
    url: str | None


class ListedDocument(Document):
    """A snapshot, and what points at it."""

    snapshot: SnapshotDocument
    pointers: list[str]


class Snapshots(Versioned):
    """Snapshots, of each target the one published last first."""

    snapshots: list[ListedDocument]


class HeldPackage(Document):
    """A package of a snapshot."""

    package: str
    version: str
    commit_id: CommitId | None
    upstream_url: str | None
    upstream_sha: Sha | None
    packaging_sha: Sha | None
    component: str | None


class ShownSnapshot(Versioned):
    """What a snapshot holds."""

    snapshot: SnapshotDocument
    pointers: list[str]
    client_lines: str
    following_lines: str | None
    packages: list[HeldPackage]


class PlaceDocument(Document):
    """Where a pointer was."""

    snapshot: SnapshotDocument
    since: datetime
    older: SnapshotDocument | None
    newer: SnapshotDocument | None


class Places(Versioned):
    """Where a pointer was at a time."""

    at: datetime
    pointer: str
    places: list[PlaceDocument]
    missing: list[str] = Field(description="Why it was nowhere on other targets.")


class ChangeDocument(Document):
    """A package that two snapshots hold in different builds."""

    before: HeldPackage
    after: HeldPackage
    way: Way
    commits: list[CommitDocument]
    more: bool
    why: str | None


class DifferenceDocument(Versioned):
    """What differs between two snapshots."""

    before: SnapshotDocument
    after: SnapshotDocument
    added: list[HeldPackage]
    removed: list[HeldPackage]
    changed: list[ChangeDocument]


class NoticeDocument(Document):
    """Something that somebody is to be told of."""

    id: int
    channel: Channel
    recipient: str
    event: int
    package: str | None
    subject: str
    created_at: datetime
    due_at: datetime
    tries: int
    given_up_at: datetime | None
    cause: str | None


class Notices(Versioned):
    """What is to be told, and what was not told in the end."""

    waiting: list[NoticeDocument]
    given_up: list[NoticeDocument]


class TokenDocument(Document):
    """A secret that a program acts with, without the secret."""

    name: str
    may: list[Permission]
    state: Literal["works", "expired", "revoked"]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


class Tokens(Versioned):
    """The tokens."""

    tokens: list[TokenDocument]


class NewToken(Versioned):
    """A token that was made."""

    name: str
    secret: str = Field(description="It is told here, and never again.")


class UserDocument(Document):
    """Somebody who signs in with a password that is kept here."""

    name: str
    may: list[Permission]
    disabled: bool
    created_at: datetime
    changed_at: datetime


class Users(Versioned):
    """The users."""

    users: list[UserDocument]


class Done(Versioned):
    """A token or user of which something was done."""

    name: str


class SignedOut(Done):
    """A person whose sessions were ended."""

    ended: int = Field(description="How many there were.")


class DeedDocument(Document):
    """Something that somebody did, or tried to do."""

    number: int
    at: datetime
    actor: str
    means: Means
    address: str | None
    action: str
    subject: str | None
    result: DeedResult
    detail: dict[str, Any]


class AuditPage(Versioned):
    """What was done, the newest last."""

    entries: list[DeedDocument]
    next: str | None


class VoteOnCommit(VoteDocument):
    """What a test said of a commit."""

    commit: str


class VotesPage(Versioned):
    """Votes on all commits, the latest first."""

    votes: list[VoteOnCommit]
    next: str | None


class Finding(Document):
    """Something that was looked at."""

    subject: str
    good: bool
    detail: str


class Health(Versioned):
    """Whether all is well."""

    good: bool
    findings: list[Finding]


class Server(Versioned):
    """Who answers."""

    name: Literal["conveyor"]
    version: str
    api: Literal[1]


class OneOrder(Document):
    """What somebody ordered."""

    number: int
    package: str
    commit: str | None = Field(description="As it was ordered; null for the newest of the followed branch.")
    targets: list[str] = Field(description="Empty for the package's own.")
    actor: str
    at: datetime
    state: OrderState
    settled_at: datetime | None
    cause: CauseDocument | None = Field(description="Why it was refused.")


class OrderedBuild(Document):
    """A build that an order is carried out with."""

    build: BuildDocument
    repository: str | None = Field(description="URL of its snapshot; null where there is none, or none any more.")


class Builds(Versioned):
    """Builds that were changed."""

    builds: list[BuildDocument]
    daemon: DaemonDocument


class OrderDocument(Versioned):
    """What somebody ordered, and what became of it."""

    order: OneOrder
    builds: list[OrderedBuild] = Field(description="None while it waits, or where it was refused.")
    daemon: DaemonDocument


class RebuildDocument(Document):
    """A good build that is built anew."""

    build: BuildDocument
    of: int
    is_new: bool


class Rebuilds(Versioned):
    """Good builds that are built anew."""

    rebuilds: list[RebuildDocument]


class CancelledDocument(Versioned):
    """A build that is cancelled, or about to be."""

    build: BuildDocument
    ending: EndingName
    again: bool
    cancelled_by: str | None
    host: str | None


class Paused(Versioned):
    """What holds a part of the queue."""

    pause: PauseDocument
    is_new: bool


class Resumed(Versioned):
    """Whether it was paused, and what is paused still."""

    resumed: bool
    pauses: list[PauseDocument]


class Polled(Versioned):
    """What is polled now."""

    packages: list[str]


class Problem(Document):
    """An error: RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    status: int
    title: str
    detail: str | None = None
    kind: str | None = None
    hint: str | None = None


class Wish(BaseModel):
    """What somebody asks for."""

    model_config = ConfigDict(extra="forbid")


class TargetWish(Wish):
    """Of which target."""

    target: Name | None = None


class PriorityWish(Wish):
    """Which priority."""

    priority: PriorityName = "urgent"


class PauseWish(Wish):
    """What is to be paused."""

    scope: ScopeKind
    name: Annotated[str, Field(max_length=200)] | None = Field(None, description="Of the target or package.")
    note: Words = ""


class OrderWish(Wish):
    """What is to be built of a package."""

    commit: Name | None = Field(
        None, description="A branch, tag or sha of the upstream; null for the newest commit of the followed branch."
    )
    targets: Annotated[list[Name], Field(max_length=1000)] = Field([], description="Empty for the package's own.")


class TokenWish(Wish):
    """A token that is to be made."""

    name: AccessName
    may: Annotated[list[Permission], Field(min_length=1, max_length=20)]
    lasts: Annotated[int, Field(ge=1, le=100 * 366 * 86400)] | None = Field(
        None, description="Seconds until it expires; null for never."
    )


class UserWish(Wish):
    """A user that is to be made."""

    name: AccessName
    may: Annotated[list[Permission], Field(max_length=20)] = []
    password: Password


class PasswordWish(Wish):
    """Another password."""

    password: Password


class PermissionsWish(Wish):
    """What a user may do."""

    may: Annotated[list[Permission], Field(min_length=1, max_length=20)]


class DisabledWish(Wish):
    """Whether a user may not sign in."""

    disabled: bool


class PollWish(Wish):
    """What is to be polled."""

    packages: Annotated[list[Name], Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="Null for all."
    )


class VoteWish(Wish):
    """What a test has to say."""

    job: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:+-]{0,199}$", examples=["tempest"])
    success: bool | None = Field(description="Null while it runs.")
    target: Name | None = None
    url: Words = ""
    notes: Annotated[str, Field(max_length=10_000)] = ""


class PromotionWish(Wish):
    """What is to be promoted."""

    commit: Name = Field(description="A commit's id, the beginning of its sha, or a pointer that leads to it.")
    targets: Annotated[list[Name], Field(max_length=1000)] = []
    note: Words = ""
    keep: bool = False
    dry_run: bool = False


class RollbackWish(Wish):
    """Where a pointer is to go back to."""

    targets: Annotated[list[Name], Field(max_length=1000)] = []
    to: Name | None = Field(
        None, description="A commit, or the number of a ledger entry; null for before its last move."
    )
    note: Words = ""
