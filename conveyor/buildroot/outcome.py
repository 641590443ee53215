"""Errors that every builder raises in the same words."""

from __future__ import annotations

from conveyor.errors import ConveyorError, NotInstallable
from conveyor.model.target import Target


def not_installable(target: Target, error: ConveyorError) -> NotInstallable:
    """The packages cannot be installed, as the package manager's error tells."""
    return NotInstallable(
        f"the packages cannot be installed on {target.name}",
        cause=error.cause or error.what,
        hint="correct the run-time dependencies in the packaging",
        details=error.details,
    )
