"""Statements on how builds were made. The caller brings the transaction."""

from __future__ import annotations

from sqlalchemy import Connection, insert, literal, select

from conveyor.model.provenance import InstalledPackage, Provenance, buildroot_sha256
from conveyor.model.target import BuilderKind
from conveyor.store.builds import find_or_insert
from conveyor.store.tables import buildroot, provenance
from conveyor.store.types import harmless

# A JSON column's value: [[name, version, architecture], ...]
PackageRows = list[list[str]]


def add(connection: Connection, build_id: int, made: Provenance) -> None:
    """Remember how a build was made."""
    connection.execute(
        insert(provenance).values(
            build_id=build_id,
            builder=made.builder,
            conveyor_version=made.conveyor_version,
            buildroot_sha256=None if made.buildroot is None else _add_buildroot(connection, made.buildroot),
            upstream_branch=made.upstream_branch,
            packaging_branch=made.packaging_branch,
            packaging_commit=made.packaging_commit,
            packaged_at=made.packaged_at,
            bootstrap=made.bootstrap,
        )
    )


def _add_buildroot(connection: Connection, packages: tuple[InstalledPackage, ...]) -> str:
    kept = sorted(
        InstalledPackage(
            name=harmless(one.name), version=harmless(one.version), architecture=harmless(one.architecture)
        )
        for one in packages
    )
    listed: PackageRows = [[one.name, one.version, one.architecture] for one in kept]
    sha256 = buildroot_sha256(kept)
    known = select(literal(1)).where(buildroot.c.sha256 == sha256)
    find_or_insert(connection, known, insert(buildroot).values(sha256=sha256, packages=listed))
    return sha256


def of_build(connection: Connection, build_id: int) -> Provenance | None:
    """How a build was made; None where that was not recorded."""
    statement = (
        select(provenance, buildroot.c.packages)
        .select_from(provenance)
        .outerjoin(buildroot, buildroot.c.sha256 == provenance.c.buildroot_sha256)
        .where(provenance.c.build_id == build_id)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return Provenance(
        builder=BuilderKind(row.builder),
        conveyor_version=row.conveyor_version,
        buildroot=None if row.buildroot_sha256 is None else _packages(row.packages),
        upstream_branch=row.upstream_branch,
        packaging_branch=row.packaging_branch,
        packaging_commit=row.packaging_commit,
        packaged_at=row.packaged_at,
        bootstrap=row.bootstrap,
    )


def _packages(listed: PackageRows) -> tuple[InstalledPackage, ...]:
    return tuple(InstalledPackage(name=name, version=version, architecture=arch) for name, version, arch in listed)
