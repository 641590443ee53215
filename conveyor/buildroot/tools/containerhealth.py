"""Whether this machine has a target's image, and can run its tool in a container: found out by trying."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from conveyor.buildroot.overlay.images import Images
from conveyor.buildroot.tools.containerruntime import Runtimes
from conveyor.buildroot.tools.containers import Runtime
from conveyor.errors import CommandMissing, SandboxUnusable, UserError
from conveyor.model.health import Finding

# Why an option is needed, by what it begins with.
REASONS = {
    "--cgroup-manager": "no systemd manages the control groups here",
    "--runtime": "crun refuses hybrid control groups",
    "--ulimit": "without CAP_SYS_RESOURCE nobody can raise these limits",
}
# What mends what podman, docker and their runtimes complain of.
CURES = (
    (r"runtime .*not found|no such file or directory.*runtime|default OCI runtime", "apt-get install runc"),
    (r"hybrid", 'apt-get install runc; in conveyor.toml: container_command = ["podman", "--runtime", "runc"]'),
    (r"systemd|dbus|sd-bus", 'in conveyor.toml: container_command = ["podman", "--cgroup-manager=cgroupfs"]'),
    (
        r"rlimit",
        'in conveyor.toml: container_run_flags = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]',
    ),
    (r"newuidmap|subuid|uid_map", "name ids of the calling user in /etc/subuid and /etc/subgid: subuid(5)"),
    (
        r"mount|permission denied",
        "the machine must allow mounts in containers: a container around it needs --privileged",
    ),
    (r"daemon", "start docker, or install podman"),
)


def look(runtimes: Runtimes, subject: str, image: str) -> Finding:
    """Run a container of the image.

    Args:
        runtimes: how containers run here.
        subject: what it is for.
        image: the image's name.
    """
    try:
        runtime = runtimes.find(image)
    except CommandMissing as error:
        return Finding(subject=subject, good=False, detail=error.what, remedy=error.hint)
    except SandboxUnusable as error:
        return Finding(subject=subject, good=False, detail=error.summary, remedy=_cure(error))
    return Finding(subject=subject, good=True, detail=_told(runtime, image), remedy="; ".join(_lines(runtime)))


def look_at_base(base_images: Images, subject: str, image: str) -> Finding:
    """Read the configuration of an image that a base comes from."""
    try:
        base_images.identity(image)
    except (CommandMissing, UserError) as error:
        return Finding(subject=subject, good=False, detail=error.summary, remedy=error.hint)
    return Finding(subject=subject, good=True, detail=f"{image} can be read")


def _told(runtime: Runtime, image: str) -> str:
    users = "nobody outside" if runtime.own_users else "root of this machine too, unless docker maps its users"
    return f"{image} runs by {runtime.command[0]}; root in it is {users}"


def _lines(runtime: Runtime) -> Iterator[str]:
    """The settings that spare the search, and why."""
    for setting, words, given in (
        ("container_command", runtime.command, runtime.command[1:]),
        ("container_run_flags", runtime.flags, runtime.flags),
    ):
        reasons = [reason for option, reason in REASONS.items() if any(word.startswith(option) for word in given)]
        if reasons:
            yield f"found by trying; in conveyor.toml: {setting} = {json.dumps(words)} ({', '.join(reasons)})"


def _cure(error: SandboxUnusable) -> str:
    said = "\n".join([error.cause, *error.details])
    cures = [cure for pattern, cure in CURES if re.search(pattern, said, re.IGNORECASE)]
    return "; ".join(cures) or error.hint
