"""What the stages need of the world, as Protocols. Every implementation passes the same contract suite."""

from conveyor.model.provenance import InstalledPackage
from conveyor.ports.access import AuditLog, IdempotencyKeys, Sessions, Tokens, Users
from conveyor.ports.building import Builder, PreparedRoot, Recreator
from conveyor.ports.formats import BuildPlan, Describer, RiskyFiles, SourcePlan, Toolchain
from conveyor.ports.ledger import Ledger, Votes
from conveyor.ports.lookup import Lookup
from conveyor.ports.mirroring import Copier, MirrorStates
from conveyor.ports.packagemanager import Changes, PackageManager, Place, RootCommand, Trunk
from conveyor.ports.publishing import (
    ClientKeys,
    Collector,
    EntryFile,
    IndexWriter,
    PackageSigner,
    PoolMender,
    PoolReader,
    Repository,
    SignatureChecker,
    Signer,
)
from conveyor.ports.queueing import Events, Leases, OrderBook, Queue, Watch
from conveyor.ports.store import Store
from conveyor.ports.surroundings import Clock, Progress
from conveyor.ports.tally import Tally
from conveyor.ports.telling import Letters, Notifier, Outbox
from conveyor.ports.upstream import Git, PackagingSource, Renderer

__all__ = [
    "AuditLog",
    "BuildPlan",
    "Builder",
    "Changes",
    "ClientKeys",
    "Clock",
    "Collector",
    "Copier",
    "Describer",
    "EntryFile",
    "Events",
    "Git",
    "IdempotencyKeys",
    "IndexWriter",
    "InstalledPackage",
    "Leases",
    "Ledger",
    "Letters",
    "Lookup",
    "MirrorStates",
    "Notifier",
    "OrderBook",
    "Outbox",
    "PackageManager",
    "PackageSigner",
    "PackagingSource",
    "Place",
    "PoolMender",
    "PoolReader",
    "PreparedRoot",
    "Progress",
    "Queue",
    "Recreator",
    "Renderer",
    "Repository",
    "RiskyFiles",
    "RootCommand",
    "Sessions",
    "SignatureChecker",
    "Signer",
    "SourcePlan",
    "Store",
    "Tally",
    "Tokens",
    "Toolchain",
    "Trunk",
    "Users",
    "Votes",
    "Watch",
]
