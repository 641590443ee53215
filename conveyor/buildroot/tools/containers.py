"""The command lines of podman and docker: pure functions, nothing is run here."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conveyor.model.target import Limits

PODMAN = "podman"
DOCKER = "docker"
FOLDER = "/conveyor"
SCRATCH = Path(FOLDER, "scratch")
CACHES = Path(FOLDER, "cache")
STATUS = f"{FOLDER}/status"
SCRIPT = Path(__file__).with_name("container.sh")
LABEL = "conveyor.site"
PREFIX = "conveyor-"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
# What the users of a container are on the host, where that can be chosen: above all that /etc/subuid hands out, and all
# that systemd does (UIDS-GIDS.md of systemd).
FIRST_UID = 1_900_000_000
UIDS = 65536
# What pbuilder and mock do with root's power, each as root of the container's own user namespace where there is one.
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP"),  # unpack packages
    *("SETUID", "SETGID", "SETPCAP"),  # run the build as an unprivileged user, and keep power from packages' scripts
    "KILL",  # end what it leaves
    "SYS_CHROOT",  # enter the root
    "SYS_ADMIN",  # mount /proc and others in the root, and take the network from the build
)
NETWORK_CAPABILITY = "NET_ADMIN"  # give the build a loopback device of its own
DEVICE_CAPABILITY = "MKNOD"  # make /dev/null and others in the root; in a user namespace they are bound instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How containers are run on this machine.

    Attributes:
        command: podman or docker, and its general options.
        flags: options of its `run`.
        first_uid: what root of a container is on the host, a user that is nobody there; None where that is not chosen.
        own_users: whether root of a container is another user on the host, chosen or not.
    """

    command: tuple[str, ...]
    flags: tuple[str, ...] = ()
    first_uid: int | None = None
    own_users: bool = False

    @property
    def is_podman(self) -> bool:
        """Whether it takes podman's options."""
        return Path(self.command[0]).name == PODMAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container.

    Attributes:
        name: its name.
        site: whose it is, for who finds it later.
        image: what it is made of.
        argv: the command.
        limits: what it may use.
        status: file of the host that is told how the command ended; None for one that a person talks to.
        reads: paths of the host that it sees, read-only, in the same place.
        writes: paths of the host that it writes to, in the same place.
        volumes: names of volumes, by where they are mounted.
        network: whether it has a network.
        environment: its variables.
        terminal: whether the caller's standard input is a terminal; for a container without `status`.
    """

    name: str
    site: str
    image: str
    argv: tuple[str, ...]
    limits: Limits
    status: Path | None
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    volumes: Mapping[Path, str] = field(default_factory=dict)
    network: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    terminal: bool = False


def run_argv(runtime: Runtime, container: Container) -> list[str]:
    """The command that runs a container."""
    return [
        *runtime.command,
        "run",
        *("--rm", "--name", container.name, "--label", f"{LABEL}={container.site}"),
        # What is logged goes to the caller alone: a copy of podman's or docker's has no limit.
        *("--pull", "never", "--log-driver", "none", "--hostname", "build", "--read-only"),
        *_security(runtime, container.network),
        *_limits(container.limits),
        *_network(runtime, container.network),
        *_mounts(container),
        *_environment(container),
        # podman hands on the proxies even to what has no network.
        *(("--http-proxy=false",) if runtime.is_podman else ()),
        *runtime.flags,
        *_command(container),
    ]


def remove_argv(runtime: Runtime, name: str) -> list[str]:
    """The command that ends and removes a container; it fails where there is none."""
    return [*runtime.command, "rm", "--force", "--volumes", *(("--time", "0") if runtime.is_podman else ()), name]


def list_argv(runtime: Runtime, site: str) -> list[str]:
    """The command that prints the names of a site's containers, one a line."""
    return [*runtime.command, "ps", "--all", "--filter", f"label={LABEL}={site}", "--format", "{{.Names}}"]


def volume_argv(runtime: Runtime, name: str) -> list[str]:
    """The command that tells of a volume; it fails where there is none of that name."""
    return [*runtime.command, "volume", "inspect", name]


def volume_name(site: str, cache: str) -> str:
    """The name of a cache's volume. Two caches never share one."""
    spelled = "".join(
        char if char.isascii() and (char.isalnum() or char in "-.") else f"_{ord(char):x}_" for char in cache
    )
    return f"{PREFIX}{site}-{spelled}"


def _security(runtime: Runtime, network: bool) -> list[str]:
    capabilities = list(CAPABILITIES)
    shares_network = network and runtime.is_podman
    if runtime.own_users or not shares_network:
        capabilities.append(NETWORK_CAPABILITY)
    if not runtime.own_users:
        capabilities.append(DEVICE_CAPABILITY)
    options = ["no-new-privileges", "label=disable", "apparmor=unconfined"]
    mapping: tuple[str, ...] = ()
    if runtime.first_uid is not None:
        ids = f"0:{runtime.first_uid}:{UIDS}"
        mapping = ("--uidmap", ids, "--gidmap", ids)
    return [
        *("--cap-drop", "all"),
        *(word for capability in capabilities for word in ("--cap-add", capability)),
        *(word for option in options for word in ("--security-opt", option)),
        *mapping,
    ]


def _limits(limits: Limits) -> list[str]:
    """Scratch lies in memory, so that its size counts there too."""
    largest_file = limits.disk + 1024**2  # for the folders of the host; scratch is full before
    return [
        *("--memory", f"{limits.memory + limits.disk}b", "--pids-limit", str(limits.processes)),
        *("--ulimit", f"fsize={largest_file}:{largest_file}"),
        *("--tmpfs", f"{SCRATCH}:rw,exec,suid,dev,size={limits.disk},mode=0755"),
        *(word for place in ("/tmp", "/var/tmp", "/run") for word in ("--tmpfs", f"{place}:rw,exec")),  # noqa: S108
    ]


def _network(runtime: Runtime, network: bool) -> list[str]:
    if not network:
        return ["--network", "none"]
    # A network of its own needs more of podman's host than that of docker, whose service has set one up.
    return ["--network", "host"] if runtime.is_podman else []


def _mounts(container: Container) -> list[str]:
    binds: list[tuple[Path, Path, tuple[str, ...]]] = [(path, path, ("readonly",)) for path in container.reads]
    binds += [(path, path, ()) for path in container.writes]
    if container.status is not None:
        binds.append((container.status, Path(STATUS), ()))
    mounts = [_mount("bind", str(source), place, *more) for source, place, more in binds]
    mounts += [_mount("volume", name, place) for place, name in sorted(container.volumes.items())]
    return [word for mount in mounts for word in ("--mount", mount)]


def _mount(kind: str, source: str, place: Path, *more: str) -> str:
    """The value of --mount, which is a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([f"type={kind}", f"source={source}", f"destination={place}", *more])
    return line.getvalue()


def _environment(container: Container) -> list[str]:
    given = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": str(SCRATCH), **container.environment}
    # By name alone: their values may hold a password, and a command line is seen by all.
    proxies = [word for name in PROXIES if container.network for word in ("--env", name)]
    return [*proxies, *(word for name, value in given.items() for word in ("--env", f"{name}={value}"))]


def _command(container: Container) -> Sequence[str]:
    workdir = ("--workdir", str(SCRATCH))
    if container.status is None:
        terminal = ("--tty",) if container.terminal else ()
        entry = ("--interactive", *terminal, "--entrypoint", "/usr/bin/env")
        return [*workdir, *entry, container.image, *container.argv]
    script = SCRIPT.read_text()
    entry = ("--interactive", "--entrypoint", "/bin/sh")
    return [*workdir, *entry, container.image, "-c", script, "conveyor", *container.argv]
