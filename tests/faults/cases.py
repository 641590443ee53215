"""What the suite injects, and what happens: docs/operating.md tells the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table.

    Attributes:
        injected: what.
        happened: what happened then.
        test: the test that shows it.
    """

    injected: str
    happened: str
    test: str


CASES = (
    Case(
        injected="`kill -9` before each system call that writes: new names, syncs, files, SQLite's pages",
        happened="clients read a whole tree; the next start ends with the same bytes as without the kill",
        test="test_killed_before",
    ),
    Case(
        injected="the same while metadata and RPMs are signed",
        happened="the same; all that is there is signed, and verifies",
        test="test_killed_while_signing",
    ),
    Case(
        injected="`kill -9` of the start that brings into order what another kill left",
        happened="the next start brings it into order",
        test="test_the_start_is_killed_too",
    ),
    Case(
        injected="`kill -9` of `conveyor collect`",
        happened="nothing that is kept is lost; the next collect removes the rest",
        test="test_the_collector_is_killed",
    ),
    Case(
        injected="no space left, at each write, new file, folder, link and name",
        happened="DiskFull or StoreUnusable, exit code 3; with room again, the same bytes as without the fault",
        test="test_no_room_at",
    ),
    Case(
        injected="a disk that is really full, and gets a little room again and again",
        happened="the same each time, until there is enough",
        test="test_a_disk_that_is_really_full",
    ),
    Case(
        injected="an I/O error of each fsync",
        happened="DiskFailed or StoreUnusable, exit code 3; what was not on the disk is written again",
        test="test_the_disk_fails_at",
    ),
    Case(
        injected="an I/O error, or no permission, at each rename",
        happened="DiskFailed, exit code 3; the pointers of a move are where they were, or all moved",
        test="test_a_name_is_refused",
    ),
    Case(
        injected="two publishers, a promoter and a collector at once, killed and refused at random",
        happened="not one failure of apt and dnf that read `current` from nginx all the while",
        test="test_no_client_ever_fails",
    ),
)
