"""A running Conveyor, and what is needed to look at what it did."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.errors import DiskFailed, DiskFull, UserError
from conveyor.model.target import Format, IndexOptions
from conveyor.pipeline.claims import REBUILDS_AFTER_DEATH, Claims
from conveyor.pipeline.happenings import Happenings
from conveyor.pipeline.orders import Orders
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.pointing.promote import Promoter
from conveyor.pipeline.pointing.rollback import Rollback
from conveyor.pipeline.poll import Poll
from conveyor.pipeline.provenance import Statements
from conveyor.pipeline.publish import Publisher
from conveyor.pipeline.queued import QueuedBuilds
from conveyor.pipeline.rebuilds.circles import Bootstrap
from conveyor.pipeline.rebuilds.interfaces import Interfaces
from conveyor.pipeline.rebuilds.rebuilding import Rebuilds
from conveyor.pipeline.rebuilds.relating import Declarations, Foresight
from conveyor.pipeline.recover import Recovery
from conveyor.pipeline.run import Runner, disk_full
from conveyor.ports import (
    AuditLog,
    Clock,
    Events,
    IdempotencyKeys,
    IndexWriter,
    Leases,
    Ledger,
    Lookup,
    MirrorStates,
    OrderBook,
    Outbox,
    Progress,
    Queue,
    Sessions,
    Store,
    Tokens,
    Toolchain,
    Users,
    Votes,
    Watch,
)
from conveyor.queue import find_cycles
from conveyor.repository.collector import TreeCollector
from conveyor.repository.signing import gnupg
from conveyor.repository.tree import PublishedTree
from conveyor.wiring.promotions import components_of, make_promoter
from conveyor.wiring.signing import open_signer, open_signing

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings
    from conveyor.store import Books
    from conveyor.wiring.builders import Builders


# Pydantic, SQLAlchemy, Jinja2, createrepo_c and rpm, and what only builds need, are imported where they are needed:
# together they take longer than most commands that look at something.


class SystemClock:
    """The port Clock on the system's clock."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conveyor:
    """Everything put together.

    Attributes:
        settings: the site's settings.
        repos: packages and targets.
        parts: the implementations behind the ports.
        lookup: finds builds.
        tree: the published tree.
        collector: removes from it.
        builders: what builds.
        poll: finds commits.
        orders: carries out builds.
        publisher: publishes them.
        pointers: moves pointers.
        ledger: what moved them.
        votes: what tests say of what was published.
        promoter: decides on promotions.
        rollback: moves pointers back.
        mirrors: how mirrors stand.
        queue: what waits for a worker.
        watch: what polls know.
        order_book: what is ordered from afar.
        events: what happened, to tell.
        leases: who may act alone.
        outbox: what is to be told.
        tokens: what programs act with on the web.
        users: people whose passwords are kept here.
        sessions: people that have signed in.
        audit: what was done on the web, and to who may do it.
        idempotency: requests that are carried out once.
        books: all that is kept in the store's database.
        claims: takes builds, and takes them from the dead.
        queued: builds what waits.
        foresight: tells what commits will be built with.
        rebuilds: decides what is built once more.
        recovery: brings everything to the state it would have had without a kill.
    """

    settings: Settings
    repos: Repos
    parts: Parts
    lookup: Lookup
    tree: PublishedTree
    collector: TreeCollector
    builders: Builders
    poll: Poll
    orders: Orders
    publisher: Publisher
    pointers: Pointers
    ledger: Ledger
    votes: Votes
    promoter: Promoter
    rollback: Rollback
    mirrors: MirrorStates
    queue: Queue
    watch: Watch
    order_book: OrderBook
    events: Events
    leases: Leases
    outbox: Outbox
    tokens: Tokens
    users: Users
    sessions: Sessions
    audit: AuditLog
    idempotency: IdempotencyKeys
    books: Books
    claims: Claims
    queued: QueuedBuilds
    foresight: Foresight
    rebuilds: Rebuilds
    recovery: Recovery

    @property
    def store(self) -> Store:
        """What happened."""
        return self.parts.store

    @property
    def clock(self) -> Clock:
        """The time."""
        return self.parts.clock

    @property
    def records(self) -> Records:
        """What is needed to look at what happened; what closes it is this Conveyor."""
        return _records(self.books, self.tree, self.clock)

    def close(self) -> None:
        """Let go of the store, and of whatever else this process holds."""
        self.parts.store.close()
        self.builders.jobs.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What is needed to look at what happened.

    Attributes:
        store: what happened. Closing it closes the others.
        lookup: finds builds.
        ledger: what moved pointers.
        votes: what tests say of what was published.
        mirrors: how mirrors stand.
        queue: what waits for a worker.
        watch: what polls know.
        order_book: what is ordered from afar.
        events: what happened, to tell.
        leases: who may act alone.
        outbox: what is to be told.
        tokens: what programs act with on the web.
        users: people whose passwords are kept here.
        sessions: people that have signed in.
        audit: what was done on the web, and to who may do it.
        tree: the published tree, for reading.
        clock: the time.
    """

    store: Store
    lookup: Lookup
    ledger: Ledger
    votes: Votes
    mirrors: MirrorStates
    queue: Queue
    watch: Watch
    order_book: OrderBook
    events: Events
    leases: Leases
    outbox: Outbox
    tokens: Tokens
    users: Users
    sessions: Sessions
    audit: AuditLog
    tree: PublishedTree
    clock: Clock


def open_records(settings: Settings) -> Records:
    """Open what has been recorded, without what builds. The caller closes the store.

    Raises:
        UserError: the data directory cannot be made.
        StoreUnusable: the store cannot be opened.
    """
    return _records(open_kept(settings), _tree(settings, {}), SystemClock())


def _records(books: Books, tree: PublishedTree, clock: Clock) -> Records:
    return Records(
        store=books.store,
        lookup=books.lookup,
        ledger=books.ledger,
        votes=books.votes,
        mirrors=books.mirrors,
        queue=books.queue,
        watch=books.watch,
        order_book=books.orders,
        events=books.events,
        leases=books.leases,
        outbox=books.outbox,
        tokens=books.tokens,
        users=books.users,
        sessions=books.sessions,
        audit=books.audit,
        tree=tree,
        clock=clock,
    )


def open_conveyor(
    settings: Settings,
    repos: Repos,
    progress: Progress,
    *,
    books: Books | None = None,
    builders: Callable[[Settings, Repos], Builders] | None = None,
    stages_only: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Conveyor:
    """Put a Conveyor together. The caller closes it.

    Args:
        settings: the site's settings.
        repos: packages and targets.
        progress: hears of stages.
        books: the store, where it is open already.
        builders: makes what builds; None for what the settings say.
        stages_only: see `Runner`.

    Raises:
        UserError: the data directory cannot be made.
        StoreUnusable: the store cannot be opened.
    """
    from conveyor.formats.deb.describe import DebDescriber  # noqa: PLC0415
    from conveyor.formats.deb.toolchain import DebToolchain  # noqa: PLC0415
    from conveyor.formats.rpm.describe import RpmDescriber  # noqa: PLC0415
    from conveyor.formats.rpm.toolchain import RpmToolchain  # noqa: PLC0415
    from conveyor.formats.templates.renderer import JinjaRenderer  # noqa: PLC0415
    from conveyor.upstream.mirror import GitMirrors  # noqa: PLC0415
    from conveyor.upstream.packaging import PackagingSources  # noqa: PLC0415
    from conveyor.upstream.versions import upstream_version  # noqa: PLC0415
    from conveyor.wiring.builders import make_builders  # noqa: PLC0415

    data = settings.data_dir
    _make(data)
    # The caller's umask decides who enters the data directory. Below it, builds as their own user and a web
    # server must read what is there.
    os.umask(0o022)
    made = (builders or make_builders)(settings, repos)
    writers = _writers(settings, repos)
    tree = _tree(settings, writers)
    books = books or open_kept(settings)
    store, clock = books.store, SystemClock()
    git = GitMirrors(data / "mirrors", rewrites=settings.rewrites, fetch_limit=settings.git_timeout)
    toolchains: Mapping[Format, Toolchain] = {Format.DEB: DebToolchain(), Format.RPM: RpmToolchain()}
    declarations = Declarations(books.queue, toolchains)
    bootstrap = Bootstrap(store, books.queue, repos.packages, find_cycles)
    parts = Parts(
        git=git,
        packaging=PackagingSources(git),
        upstream_version=upstream_version,
        renderer=JinjaRenderer(),
        toolchains=toolchains,
        describers={Format.DEB: DebDescriber(), Format.RPM: RpmDescriber()},
        builders=made.by_kind,
        repository=tree,
        store=store,
        clock=clock,
        progress=progress,
        configured=_configured(repos),
        builds=data / "builds",
        declared=declarations.record_first,
        lacking=bootstrap.lacking,
    )
    pointers = Pointers(books.ledger, tree, clock)
    statements = Statements(tree, parts.describers, settings.base_url, open_signer(settings.signing))
    publisher = Publisher(
        store,
        tree,
        pointers,
        data,
        components_of(repos),
        statements,
    )
    promoter = make_promoter(
        repos,
        store=store,
        ledger=books.ledger,
        votes=books.votes,
        repository=tree,
        pointers=pointers,
        clock=clock,
    )
    happenings = Happenings(books.events, store)
    claims = Claims(
        store,
        happenings=happenings,
        clock=clock,
        builds=parts.builds,
        retries=min(settings.daemon.retries, REBUILDS_AFTER_DEATH),
    )
    runner = Runner(parts, publisher, happenings, data, promoter.follow, stages_only)
    return Conveyor(
        settings=settings,
        repos=repos,
        parts=parts,
        lookup=books.lookup,
        tree=tree,
        collector=TreeCollector(_root(settings), writers),
        builders=made,
        poll=Poll(git, parts.packaging),
        orders=Orders(parts, claims, runner),
        publisher=publisher,
        pointers=pointers,
        ledger=books.ledger,
        votes=books.votes,
        promoter=promoter,
        rollback=Rollback(ledger=books.ledger, store=store, repository=tree, pointers=pointers, targets=repos.targets),
        mirrors=books.mirrors,
        queue=books.queue,
        watch=books.watch,
        order_book=books.orders,
        events=books.events,
        leases=books.leases,
        outbox=books.outbox,
        tokens=books.tokens,
        users=books.users,
        sessions=books.sessions,
        audit=books.audit,
        idempotency=books.idempotency,
        books=books,
        claims=claims,
        queued=QueuedBuilds(
            store=store,
            queue=books.queue,
            clock=clock,
            claims=claims,
            runner=runner,
            happenings=happenings,
            packages=repos.packages,
            targets=repos.targets,
        ),
        foresight=Foresight(parts, repos.targets),
        rebuilds=Rebuilds(
            store=store,
            queue=books.queue,
            events=books.events,
            toolchains=toolchains,
            interfaces=Interfaces(store, tree, parts.describers),
            bootstrap=bootstrap,
            packages=repos.packages,
            limit=settings.daemon.cascade_limit,
        ),
        recovery=Recovery(
            claims=claims,
            publisher=publisher,
            pointers=pointers,
            store=store,
            repository=tree,
            targets=repos.targets,
            sweepers=(*made.sweepers, gnupg.sweep),
            follow=promoter.follow,
        ),
    )


def disk_error(error: OSError, data: Path | None = None) -> DiskFull | DiskFailed | None:
    """The intended error for a disk that is full, fails or is read-only; None for any other."""
    place = data or Path(error.filename or "/")
    if error.errno == errno.ENOSPC:
        return disk_full(place)
    if error.errno in {errno.EIO, errno.EROFS}:
        hint = "check the disk (dmesg) and whether it is mounted read-only, then run the same command again"
        return DiskFailed("the disk fails", cause=f"{place}: {error.strerror}", hint=hint)
    return None


def _make(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise UserError(
            f"the data directory {data} cannot be made",
            cause=error.strerror or "",
            hint="name another with --data-dir, or 'data_dir' in conveyor.toml",
        ) from error


def _configured(repos: Repos) -> Mapping[str, frozenset[str]]:
    return {
        target: frozenset(name for name, package in repos.packages.items() if target in package.targets)
        for target in repos.targets
    }


def open_kept(settings: Settings) -> Books:
    """Open what is kept in the store's database. The caller closes the store.

    Raises:
        UserError: the data directory cannot be made.
        StoreUnusable: the store cannot be opened.
    """
    from conveyor.store import open_books  # noqa: PLC0415

    _make(settings.data_dir)
    return open_books(settings.database)


def _writers(settings: Settings, repos: Repos) -> Mapping[str, IndexWriter]:
    from conveyor.formats.deb.metadata import DebIndexWriter  # noqa: PLC0415
    from conveyor.formats.rpm.metadata import RpmIndexWriter  # noqa: PLC0415

    cache = settings.data_dir / "metadata"
    by_format: dict[Format, Callable[[Path, IndexOptions], IndexWriter]] = {
        Format.DEB: DebIndexWriter,
        Format.RPM: RpmIndexWriter,
    }
    return {
        name: by_format[target.format](cache / target.format.value, target.indexes)
        for name, target in repos.targets.items()
    }


def _root(settings: Settings) -> Path:
    return settings.data_dir / "repos"


def _tree(settings: Settings, writers: Mapping[str, IndexWriter]) -> PublishedTree:
    return PublishedTree(
        _root(settings),
        writers=writers,
        base_url=settings.base_url,
        client_name=settings.repository_name,
        signing=open_signing(settings.signing),
    )
