"""Versions as values. How they compare is each format's own business: conveyor/formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeVersion:
    """What a version scheme makes of a commit's history.

    Attributes:
        upstream: the version that the upstream's build system is told, such as "10.2.1.dev3".
        release: the release, where the scheme sets one (DLRN's does); else None.
        note: what a packager should know, such as a tag that was ignored; empty for nothing.
    """

    upstream: str
    release: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageVersion:
    """The version of one package on one target.

    Attributes:
        upstream: the upstream's own version, such as "10.2.1.dev3": what its build system is told.
        epoch: 0 for none.
        version: the version in the format's notation, such as "10.2.1~~dev3".
        release: the RPM release without %{?dist}, or the Debian revision, the target's mark included.
    """

    upstream: str
    epoch: int
    version: str
    release: str

    @property
    def evr(self) -> str:
        """`[epoch:]version-release`, as rpm and dpkg write it."""
        prefix = f"{self.epoch}:" if self.epoch else ""
        return f"{prefix}{self.version}-{self.release}"
