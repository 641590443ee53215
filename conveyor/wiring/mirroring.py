"""What copies to mirrors, put together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from conveyor.buildroot import health
from conveyor.errors import ConfigurationInvalid
from conveyor.model.health import Finding, Program
from conveyor.pipeline.keeping.mirror import Mirroring
from conveyor.ports import Ledger, MirrorStates, Store
from conveyor.repository.outgoing import RsyncCopier
from conveyor.repository.tree import PublishedTree
from conveyor.wiring.conveyor import SystemClock

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

PROGRAMS = (Program(name="rsync", package="rsync"), Program(name="setpriv", package="util-linux"))


def make_mirroring(
    settings: Settings, repos: Repos, *, store: Store, ledger: Ledger, states: MirrorStates, tree: PublishedTree
) -> Mirroring:
    """What brings the site's mirrors up to date; the caller closes the store.

    Raises:
        ConfigurationInvalid: a mirror has a target that repos.yaml has not.
    """
    unknown = [
        f"mirror {mirror.name}: {target}"
        for mirror in settings.mirrors
        for target in mirror.targets
        if target not in repos.targets
    ]
    if unknown:
        raise ConfigurationInvalid(
            "mirrors have targets that repos.yaml has not",
            hint="correct 'targets' below [[mirrors]] in conveyor.toml",
            details=unknown,
        )
    return Mirroring(
        settings.mirrors,
        targets=tuple(repos.targets),
        store=store,
        ledger=ledger,
        repository=tree,
        states=states,
        copier=RsyncCopier(settings.data_dir / "repos", tree, settings.data_dir / "mirroring"),
        clock=SystemClock(),
    )


def findings(settings: Settings) -> Iterator[Finding]:
    """What `conveyor doctor` tells of mirrors, where there are any."""
    if settings.mirrors:
        missing = health.missing_programs(PROGRAMS)
        names = ", ".join(program.name for program in missing)
        yield Finding(
            subject="mirrors",
            good=not missing,
            detail=f"{names} missing" if missing else ", ".join(mirror.name for mirror in settings.mirrors),
            remedy=health.install_command(missing),
        )
