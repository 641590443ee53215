"""What the end of a mock run means, told from its exit code and from the logs that it writes itself.

The build's own output is in neither of these logs. mock's exit codes: mockbuild/exception.py of mock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from conveyor.errors import CommandFailed, ConveyorError

PACKAGE_MANAGER_FAILED = 30
# Those with a meaning of their own: command line, configuration, root, locks, folders, namespaces.
OURS = frozenset({2, 3, 5, 6, 7, 20, 25, 31, 50, 60, 65, 70, 80, 90, 110, 120})
LEVEL = re.compile(r"^[A-Z]+ \w+\.py:\d+: {0,2}")
PACKAGE_MANAGER = re.compile(r"Executing command: \['[^']*/(?:dnf|dnf-3|dnf4|dnf5|microdnf|yum|yum-builddep)'")
ENDED = re.compile(r"^Child return code was: ")
WORK_BEGAN = re.compile(r" - Start: (?:buildsrpm|build phase for .*)$")


def package_manager_lines(root_log: Sequence[str]) -> tuple[str, ...]:
    """What the package manager printed in its last run."""
    lines = [LEVEL.sub("", line).rstrip("\r") for line in root_log]
    starts = [number for number, line in enumerate(lines) if PACKAGE_MANAGER.search(line)]
    if not starts:
        return ()
    said = lines[starts[-1] + 1 :]
    end = next((number for number, line in enumerate(said) if ENDED.match(line)), len(said))
    return tuple(said[:end])


def work_began(state_log: Sequence[str]) -> bool:
    """Whether mock had made the root and went on to the package."""
    return any(WORK_BEGAN.search(line) for line in state_log)


def own_failure(
    target: str,
    exit_code: int,
    root_log: Sequence[str],
    state_log: Sequence[str],
    explain: Callable[[Sequence[str]], ConveyorError],
) -> ConveyorError | None:
    """What failed when it was not the package; None where it was.

    Args:
        target: the target's name.
        exit_code: mock's.
        root_log: its root.log.
        state_log: its state.log.
        explain: what the package manager's output means.
    """
    if exit_code == PACKAGE_MANAGER_FAILED:
        return explain(package_manager_lines(root_log))
    if exit_code in OURS or not work_began(state_log):
        return CommandFailed(
            f"mock could not make a root for {target}",
            cause=f"it ended with code {exit_code}",
            hint="the log has mock's own words; 'conveyor doctor' tells what this machine lacks",
            details=[LEVEL.sub("", line) for line in root_log[-20:]],
        )
    return None
