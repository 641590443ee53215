"""What the suites inject, and what happens: docs/operating.md and docs/daemon.md tell the same."""

from __future__ import annotations

import os
from dataclasses import dataclass

# Whether all calls, moments and numbers are tried; else some are.
ALL = os.environ.get("CONVEYOR_TEST_ALL_FAULTS", "") not in {"", "0"}


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

OF_THE_DAEMON = (
    Case(
        injected="`kill -9` of a worker before and after each transaction of the store that it makes",
        happened="its build is built by another worker, or published where it was built",
        test="test_a_worker_is_killed_around_each_transaction",
    ),
    Case(
        injected="`kill -9` of the daemon before and after each transaction that it makes",
        happened="its workers die with it; the next start builds what they had",
        test="test_the_daemon_is_killed_around_each_transaction",
    ),
    Case(
        injected="`kill -9` of daemon and workers at once, at any moment, again and again, while commits are pushed",
        happened="the next start goes on; in the end all that was pushed is built, in its order",
        test="test_everything_is_killed_again_and_again_while_commits_arrive",
    ),
    Case(
        injected="`kill -9` of the daemon, and of a worker, while a real build runs in its sandbox",
        happened="the sandbox dies with it; the build is built again in the same root",
        test="test_killed_while_a_real_build_runs",
    ),
    Case(
        injected="a kill right after a change was acknowledged, and a copy of the files as they are on the disk",
        happened="each change was synced before it was acknowledged, and is in the copy",
        test="test_what_is_acknowledged_is_on_the_disk",
    ),
    Case(
        injected="all connections to PostgreSQL ended, or its server killed and started again, while builds run",
        happened="what could not be recorded is built again; the daemon goes on by itself",
        test="test_postgresql_goes_away",
    ),
    Case(
        injected="the connection to PostgreSQL ended, or its server killed with -9 and started again, before and after "
        "each commit of a worker, and between a commit and its answer",
        happened="what could not be recorded is built or published again, for a reason; what could be is not",
        test="test_a_worker_loses_the_store_around_each_transaction",
    ),
    Case(
        injected="the same to the daemon",
        happened="it goes on by itself; where it could not have its lease, the next start goes on",
        test="test_the_daemon_loses_the_store_around_each_transaction",
    ),
    Case(
        injected="the clock set by days, on and back",
        happened="recorded as an event; nothing waits for a moment that is far ahead, nothing is taken for dead",
        test="test_the_clock_jumps_both_ways",
    ),
    Case(
        injected="two daemons started at the same moment, in one data directory, or in two with one store",
        happened="one acts; the other ends with exit code 3, and has started no worker",
        test="test_two_start_at_the_same_moment",
    ),
    Case(
        injected="a disk that becomes full while a build runs, is stored or is published",
        happened="what is published stays whole; once there is room, it goes on by itself",
        test="test_the_disk_is_full",
    ),
    Case(
        injected="a package mirror and the host of an upstream that are gone for a day",
        happened="asked less and less often, told once, not given up; when they are back, built and polled",
        test="test_servers_are_gone_for_a_day",
    ),
    Case(
        injected="10,000 commits of one upstream at once, with each policy",
        happened="in the queue within seconds, or recorded as superseded; built in their order",
        test="test_10000_commits_arrive_at_once",
    ),
    Case(
        injected="50 commits of each of 200 packages at once",
        happened="the same",
        test="test_many_packages_get_many_commits_at_once",
    ),
    Case(
        injected="a store of the version before the daemon, with builds that wait, ran and errored",
        happened="brought up to date at the start, and built; what had errored waits until somebody asks for it",
        test="test_a_store_of_the_previous_version_is_gone_on_with",
    ),
    Case(
        injected="mistakes in repos.yaml, an address that is none, a package and a target removed",
        happened="mistakes are told, and nothing else; what waits of the removed is superseded, what is public stays",
        test="test_repos_yaml_is_edited_while_it_runs",
    ),
    Case(
        injected="two packages that make the same binary package",
        happened="the second one fails, and says whose package it is; all others are built",
        test="test_two_packages_make_the_same_binary_package",
    ),
)
