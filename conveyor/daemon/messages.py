"""What the daemon's threads and signals tell its main thread."""

from __future__ import annotations

from dataclasses import dataclass

from conveyor.daemon.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalled:
    """A signal came.

    Attributes:
        number: which.
    """

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A new configuration was read and found good.

    Attributes:
        site: what was made of it.
    """

    site: Site


class LeaseLost:
    """Another daemon has taken the lease."""


class Wake:
    """There may be something to do."""
