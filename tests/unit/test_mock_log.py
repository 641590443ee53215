"""What the end of a mock run means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from conveyor.buildroot.mock.log import own_failure, package_manager_lines, work_began
from conveyor.errors import BuildDependencyMissing, CommandFailed, ConveyorError, MirrorUnreachable
from conveyor.formats.rpm.dnf import DnfManager
from tests.support.mock import MOCK

RUN = "DEBUG util.py:556:  Executing command: ['/usr/bin/dnf-3', '--installroot', '/r/', 'builddep'] with env {}"
MISSING = (
    "DEBUG util.py:556:  Executing command: ['/bin/rpm', '-qa', '--root', '/r'] with env {} and shell False",
    "DEBUG util.py:461:  Error: Failed to download metadata for repo 'a name'",
    "DEBUG util.py:610:  Child return code was: 0",
    RUN,
    "DEBUG util.py:461:  No matching package to install: 'libdoesnotexist'\r",
    "DEBUG util.py:461:  Not all dependencies satisfied",
    "DEBUG util.py:461:  Error: Some packages could not be found.",
    "DEBUG util.py:610:  Child return code was: 1",
    "DEBUG util.py:185:  kill orphans in chroot /r",
)
DEAD = (
    RUN,
    "DEBUG util.py:461:  Errors during downloading metadata for repository 'local':",
    "DEBUG util.py:461:    - Curl error (7): Couldn't connect to server for http://127.0.0.1:9/repodata/repomd.xml",
    "DEBUG util.py:461:  Error: Failed to download metadata for repo 'local': Cannot download repomd.xml",
    "DEBUG util.py:610:  Child return code was: 1",
)
BEGUN = ("2026-01-01 00:00:00,0 - Start: chroot init", "2026-01-01 00:00:01,0 - Start: build phase for a-1-1.src.rpm")


def explain(lines: Sequence[str]) -> ConveyorError:
    return DnfManager().failure(MOCK, lines)


def failure(exit_code: int, root_log: Sequence[str] = (), state_log: Sequence[str] = BEGUN) -> ConveyorError | None:
    return own_failure("centos-10-x86_64", exit_code, root_log, state_log, explain)


def test_a_missing_build_dependency_and_a_dead_mirror_both_end_with_30() -> None:
    missing, dead = failure(30, MISSING), failure(30, DEAD)
    assert isinstance(missing, BuildDependencyMissing)
    assert missing.cause == "libdoesnotexist: no repository of the target has it"
    assert isinstance(dead, MirrorUnreachable)
    assert "Couldn't connect to server" in dead.cause


def test_only_the_package_managers_last_words_count() -> None:
    assert package_manager_lines(MISSING) == (
        "No matching package to install: 'libdoesnotexist'",
        "Not all dependencies satisfied",
        "Error: Some packages could not be found.",
    )
    assert package_manager_lines(()) == ()


@pytest.mark.parametrize("exit_code", [1, 10, 11, 40, 137, 247])
def test_what_fails_after_the_work_began_is_the_packages_own(exit_code: int) -> None:
    assert failure(exit_code) is None


@pytest.mark.parametrize("exit_code", [1, 4, 32, 20, 60, 70])
def test_what_fails_before_is_ours(exit_code: int) -> None:
    error = failure(exit_code, ("ERROR util.py:1:  no more loop devices",), BEGUN[:1])
    assert isinstance(error, CommandFailed)
    assert error.details == ("no more loop devices",)


def test_codes_with_a_meaning_of_their_own_are_ours_at_any_time() -> None:
    assert isinstance(failure(20), CommandFailed)


def test_the_beginning_of_the_work() -> None:
    assert work_began(BEGUN)
    assert work_began(["2026-01-01 00:00:01,0 - Start: buildsrpm"])
    assert not work_began(BEGUN[:1])
