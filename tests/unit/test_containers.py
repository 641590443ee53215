"""The command lines of podman and docker, and what a container tells of its end."""

from __future__ import annotations

import csv
import itertools
import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.tools.containerruntime import Status, read_status, variants
from conveyor.buildroot.tools.containers import (
    FIRST_UID,
    Container,
    Runtime,
    list_argv,
    remove_argv,
    run_argv,
    volume_name,
)
from conveyor.model.target import Limits

MIB = 1024**2
PODMAN = Runtime(command=("podman", "--runtime=runc"), flags=("--ulimit", "nofile=5:5"), first_uid=7000, own_users=True)
DOCKER = Runtime(command=("/usr/bin/docker",))
CONTAINER = Container(
    name="conveyor-1-2-3",
    site="abc",
    image="localhost/pbuilder:latest",
    argv=("pbuilder", "build"),
    limits=Limits(seconds=60, memory=100 * MIB, disk=50 * MIB, processes=30),
    status=Path("/jobs/status"),
    reads=(Path('/a, "b"'),),
    writes=(Path("/out"),),
    volumes={Path("/conveyor/cache/x"): "conveyor-abc-x"},
    environment={"COLOUR": "blue"},
)


def values(argv: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(argv) if name == option]


class TestRunArgv:
    def test_options_stand_before_run_and_flags_before_the_image(self) -> None:
        argv = run_argv(PODMAN, CONTAINER)
        assert argv[:4] == ["podman", "--runtime=runc", "run", "--rm"]
        assert argv.index("nofile=5:5") < argv.index(CONTAINER.image)
        assert argv[-2:] == ["pbuilder", "build"]
        assert values(argv, "--name") == ["conveyor-1-2-3"]

    @pytest.mark.parametrize("runtime", [PODMAN, DOCKER])
    def test_nothing_is_pulled_logged_aside_or_written_but_where_it_may(self, runtime: Runtime) -> None:
        argv = run_argv(runtime, CONTAINER)
        assert values(argv, "--pull") == ["never"]
        assert values(argv, "--log-driver") == ["none"]
        assert "--read-only" in argv
        assert values(argv, "--cap-drop") == ["all"]
        assert "no-new-privileges" in values(argv, "--security-opt")
        assert "--privileged" not in argv

    def test_limits_count_the_scratch_folder_as_memory(self) -> None:
        argv = run_argv(PODMAN, CONTAINER)
        assert values(argv, "--memory") == [f"{150 * MIB}b"]
        assert values(argv, "--pids-limit") == ["30"]
        assert f"/conveyor/scratch:rw,exec,suid,dev,size={50 * MIB},mode=0755" in values(argv, "--tmpfs")

    def test_mounts_are_lines_of_csv(self) -> None:
        mounts = [next(csv.reader([value])) for value in values(run_argv(PODMAN, CONTAINER), "--mount")]
        assert mounts == [
            ["type=bind", 'source=/a, "b"', 'destination=/a, "b"', "readonly"],
            ["type=bind", "source=/out", "destination=/out"],
            ["type=bind", "source=/jobs/status", "destination=/conveyor/status"],
            ["type=volume", "source=conveyor-abc-x", "destination=/conveyor/cache/x"],
        ]

    def test_root_of_the_container_is_nobody_on_the_host(self) -> None:
        assert values(run_argv(PODMAN, CONTAINER), "--uidmap") == ["0:7000:65536"]
        assert values(run_argv(PODMAN, CONTAINER), "--gidmap") == ["0:7000:65536"]
        assert values(run_argv(DOCKER, CONTAINER), "--uidmap") == []

    def test_there_is_no_network_unless_it_is_asked_for(self) -> None:
        networked = replace(CONTAINER, network=True)
        assert values(run_argv(PODMAN, CONTAINER), "--network") == ["none"]
        assert values(run_argv(DOCKER, CONTAINER), "--network") == ["none"]
        assert values(run_argv(PODMAN, networked), "--network") == ["host"]
        assert values(run_argv(DOCKER, networked), "--network") == []

    def test_who_is_root_of_the_host_cannot_change_its_network(self) -> None:
        plain = replace(PODMAN, first_uid=None, own_users=False)
        networked = replace(CONTAINER, network=True)
        assert "NET_ADMIN" not in values(run_argv(plain, networked), "--cap-add")
        assert "NET_ADMIN" in values(run_argv(plain, CONTAINER), "--cap-add")
        assert "NET_ADMIN" in values(run_argv(PODMAN, networked), "--cap-add")

    def test_device_nodes_are_made_only_where_that_can_succeed(self) -> None:
        assert "MKNOD" not in values(run_argv(PODMAN, CONTAINER), "--cap-add")
        assert "MKNOD" in values(run_argv(DOCKER, CONTAINER), "--cap-add")

    def test_proxies_are_named_and_their_values_kept_out_of_the_command_line(self) -> None:
        assert "http_proxy" in values(run_argv(PODMAN, replace(CONTAINER, network=True)), "--env")
        assert "http_proxy" not in values(run_argv(PODMAN, CONTAINER), "--env")
        assert "--http-proxy=false" in run_argv(PODMAN, CONTAINER)
        assert "--http-proxy=false" not in run_argv(DOCKER, CONTAINER)

    def test_at_a_terminal_the_command_stands_alone(self) -> None:
        argv = run_argv(PODMAN, replace(CONTAINER, status=None, terminal=True))
        assert argv[-6:] == ["--tty", "--entrypoint", "/usr/bin/env", CONTAINER.image, "pbuilder", "build"]


def test_containers_are_found_and_removed() -> None:
    assert list_argv(DOCKER, "abc")[-3:] == ["label=conveyor.site=abc", "--format", "{{.Names}}"]
    assert remove_argv(PODMAN, "x") == [*PODMAN.command, "rm", "--force", "--volumes", "--time", "0", "x"]
    assert remove_argv(DOCKER, "x") == [*DOCKER.command, "rm", "--force", "--volumes", "x"]


def test_caches_never_share_a_volume() -> None:
    names = ["a+b", "a_b", "a-b", "a_2b_b", "a.b", "A", "a", "ä"]
    volumes = [volume_name("site", name) for name in names]
    assert len(set(volumes)) == len(names)
    assert volumes[4] == "conveyor-site-a.b"


class TestStatus:
    def test_all_that_was_told(self) -> None:
        text = "exit 3\noom_kill 1\nrefused 2\nfree 100000 4096 200000 5000\n"
        assert read_status(text) == Status(exit_code=3, oom_kills=1, refused=2, disk_full=False)

    @pytest.mark.parametrize("free", ["10 4096 200000 5000", "100000 4096 200000 3"])
    def test_a_full_disk_has_no_blocks_or_no_files(self, free: str) -> None:
        status = read_status(f"exit 1\nfree {free}\n")
        assert status is not None
        assert status.disk_full

    def test_counters_that_the_machine_lacks(self) -> None:
        assert read_status("exit 0\n") == Status(exit_code=0, oom_kills=0, refused=0, disk_full=False)

    def test_a_command_that_is_missing(self) -> None:
        status = read_status("missing\n")
        assert status is not None
        assert status.exit_code is None

    @pytest.mark.parametrize("text", ["", "exit\n", "exit x\n", "exit 1 2\n", "oom_kill 1\n", "\x00\n"])
    def test_nonsense_is_no_end(self, text: str) -> None:
        assert read_status(text) is None

    def test_a_free_line_that_is_cut_says_nothing(self) -> None:
        assert read_status("exit 0\nfree 1\n") == Status(exit_code=0, oom_kills=0, refused=0, disk_full=False)


class TestVariants:
    @pytest.fixture(autouse=True)
    def _root_of_a_small_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (1, LIMITS_OF[kind]))

    def test_user_namespaces_come_first_and_plain_podman_before_options(self) -> None:
        found = variants(("podman",), choose_options=True, flags=None)
        assert found[0] == Runtime(command=("podman",), first_uid=FIRST_UID, own_users=True)
        assert found[1].flags == ("--ulimit", "nofile=500:500", "--ulimit", "nproc=500:500")
        uids = [runtime.first_uid for runtime in found]
        assert uids == [FIRST_UID] * 8 + [None] * 8
        assert {runtime.own_users for runtime in found[8:]} == {False}
        assert len(set(found)) == len(found)

    def test_what_the_site_says_is_all_that_is_tried(self) -> None:
        command = ("podman", "--runtime", "runc")
        found = variants(command, choose_options=False, flags=("--ulimit", "nproc=9:9"))
        assert {runtime.command for runtime in found} == {command}
        assert {runtime.flags for runtime in found} == {("--ulimit", "nproc=9:9")}

    @pytest.mark.parametrize("flag", ["--userns=auto", "--uidmap=0:1:2", "--privileged"])
    def test_a_site_may_choose_the_users_itself(self, flag: str) -> None:
        assert {runtime.first_uid for runtime in variants(("podman",), choose_options=True, flags=(flag,))} == {None}

    def test_without_root_podman_has_a_user_namespace_anyway(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        found = variants(("podman",), choose_options=False, flags=())
        assert found == (Runtime(command=("podman",), own_users=True),)

    def test_docker_gets_no_options_of_podman(self) -> None:
        found = variants(("docker",), choose_options=True, flags=None)
        assert {(runtime.command, runtime.first_uid, runtime.own_users) for runtime in found} == {
            (("docker",), None, False)
        }


LIMITS_OF = {resource.RLIMIT_NOFILE: 500, resource.RLIMIT_NPROC: resource.RLIM_INFINITY}
