"""What the commands ask of the machine: may it build, can it, and what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from conveyor.buildroot import health
from conveyor.buildroot.isolation import rootless
from conveyor.errors import CommandMissing, DiskFull, PermissionMissing
from conveyor.model.health import Finding, Program
from conveyor.model.target import BuilderKind, Target
from conveyor.wiring import mirroring, signing, telling
from conveyor.wiring.conveyor import Conveyor

if TYPE_CHECKING:
    from conveyor.config import Settings


def examine(conveyor: Conveyor) -> Iterator[Finding]:
    """What `conveyor doctor` tells of the machine, then of each target."""
    settings = conveyor.settings
    builders = conveyor.builders
    yield from health.machine(builders.sandbox, builders.jobs, settings.data_dir, settings.min_free_disk)
    yield from signing.findings(settings.signing, {target.format for target in conveyor.repos.targets.values()})
    yield from mirroring.findings(settings)
    yield from telling.findings(settings, conveyor.repos, conveyor.outbox)
    for target in conveyor.repos.targets.values():
        missing = health.missing_programs(_programs(conveyor, target))
        names = ", ".join(program.name for program in missing)
        yield Finding(
            subject=target.name,
            good=not missing,
            detail=f"{names} missing" if missing else f"{target.format} by {target.builder}",
            remedy=health.install_command(missing),
        )
        yield from _tool_findings(conveyor, target)


def _tool_findings(conveyor: Conveyor, target: Target) -> Iterator[Finding]:
    """What a target's builder needs of a tool that is not one of our programs."""
    # Here and below, because the builders take long to import.
    from conveyor.buildroot.mock import health as mock_health  # noqa: PLC0415
    from conveyor.buildroot.overlay import images  # noqa: PLC0415
    from conveyor.buildroot.tools import containerhealth  # noqa: PLC0415

    if target.base_image is not None:
        yield containerhealth.look_at_base(images.Images(), target.name, target.base_image)
    if target.container is not None:
        yield containerhealth.look(conveyor.builders.containers, target.name, target.container)
    elif target.builder is BuilderKind.MOCK:
        yield from mock_health.findings(target, conveyor.settings.mock_user)


def require_root() -> None:
    """Building mounts layers and enters namespaces.

    Raises:
        PermissionMissing: this process does not run as root.
    """
    if os.geteuid() != 0:
        raise PermissionMissing("building needs root, to mount layers", hint="run the same command with sudo")


def gain_root(settings: Settings) -> None:
    """Have the rights that building needs: root's, or those of root of a user namespace.

    An ordinary user's command begins again in such a namespace: then this does not return.

    Raises:
        PermissionMissing: this process does not run as root, and can have no such namespace.
    """
    if os.geteuid() == 0:
        return
    found = rootless.obstacle()
    if found is not None:
        raise PermissionMissing(
            "building needs root, or a user namespace with subordinate ids",
            cause=found.cause,
            hint=f"run the same command with sudo, or once as root: {found.remedy}",
        )
    rootless.begin_again(settings.data_dir)


def require_programs(conveyor: Conveyor, targets: Collection[Target]) -> None:
    """Refuse to begin what would fail half-way.

    Raises:
        CommandMissing: a program that building for one of the targets needs is not installed.
    """
    needed = {*health.PROGRAMS, *(program for target in targets for program in _programs(conveyor, target))}
    missing = health.missing_programs(sorted(needed, key=lambda program: program.name))
    if missing:
        names = ", ".join(program.name for program in missing)
        raise CommandMissing(f"not installed on this machine: {names}", hint=health.install_command(missing))
    for finding in (found for target in targets for found in _tool_findings(conveyor, target)):
        if not finding.good:
            raise CommandMissing(f"{finding.subject} cannot be built for: {finding.detail}", hint=finding.remedy)


def require_room(settings: Settings) -> None:
    """Refuse to begin on a disk that is all but full.

    Raises:
        DiskFull: less is free than the settings ask for.
    """
    free = shutil.disk_usage(settings.data_dir).free
    if free < settings.min_free_disk:
        mib = 1024**2
        raise DiskFull(
            f"only {free // mib} MiB are free below {settings.data_dir}, {settings.min_free_disk // mib} are needed",
            hint="free some room, or set another 'min_free_disk' in conveyor.toml",
        )


def _programs(conveyor: Conveyor, target: Target) -> tuple[Program, ...]:
    """What building for a target needs of the machine, beside what every target needs."""
    from conveyor.buildroot.overlay import images  # noqa: PLC0415
    from conveyor.buildroot.pbuilder.builder import PROGRAMS as PBUILDER_PROGRAMS  # noqa: PLC0415

    if target.container is not None:
        return ()
    own = PBUILDER_PROGRAMS if target.builder is BuilderKind.PBUILDER else ()
    image = images.PROGRAMS if target.base_image is not None else ()
    return tuple(dict.fromkeys([*conveyor.builders.managers[target.format].programs, *own, *image]))
