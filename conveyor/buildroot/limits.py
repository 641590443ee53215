"""The limits of making roots; and a limit that a package's own code has reached, in words."""

from __future__ import annotations

from typing import Protocol

from conveyor.errors import LimitExceeded
from conveyor.model.target import Limits, Target

# Making a root is the distribution's work, not the package's: it has limits of its own, far from any real use.
MAKING = Limits(seconds=3600, memory=8 * 1024**3, disk=16 * 1024**3, processes=4096)


class Ended(Protocol):
    """How something ended that ran with limits. See conveyor.buildroot.isolation.sandbox.Finished."""

    @property
    def disk_full(self) -> bool:
        """Whether it used up its disk space."""

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed a process of it for the memory limit."""

    @property
    def out_of_processes(self) -> bool:
        """Whether the kernel refused it a process for the limit of these."""


def exceeded(target: Target, ended: Ended) -> LimitExceeded | None:
    """The limit that a failed command had reached, if any."""
    for reached, name, amount in (
        (ended.out_of_memory, "memory", f"{target.limits.memory // 1024**2} MiB of memory"),
        (ended.disk_full, "disk", f"{target.limits.disk // 1024**2} MiB of disk"),
        (ended.out_of_processes, "processes", f"{target.limits.processes} processes"),
    ):
        if reached:
            return LimitExceeded(
                f"it used more than {amount}, its limit, and failed",
                hint=f"raise 'limits: {name}' of {target.name} in repos.yaml if it needs more",
            )
    return None


def timed_out(target: Target) -> LimitExceeded:
    """The limit of time."""
    return LimitExceeded(
        f"it took longer than {target.limits.seconds} s and was killed",
        hint=f"raise 'limits: time' of {target.name} in repos.yaml if it needs longer",
    )
