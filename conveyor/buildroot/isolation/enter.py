"""Runs one command in a root made of layers, as its own small program in a mount namespace of its own.

The module `sandbox` beside it starts it, with a specification as JSON. Whatever it mounts is seen by this process and
its children only, so nothing stays behind when it dies, not even on kill -9. It runs as root, of the host or of a user
namespace, is given nothing that came from upstream but the files below its input folder, and needs the standard library
only, as the system's own Python runs it.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from conveyor.buildroot.isolation.kernel import (
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    attach,
    die_with,
    mount,
    see_own_processes,
    start_in_new_process_ids,
    unmount,
)
from conveyor.buildroot.isolation.users import (
    Users,
    become_root,
    files_made_as,
    in_user_namespace,
    package_manager_users,
)
from conveyor.buildroot.isolation.watch import Watch

MERGED = "merged"
MERGED_TARGET = "/target"  # where the root is seen by a command that runs on the host's tools
# Where an unprivileged bubblewrap finds what it mounts: it could not pass a folder of root's own, such as /root. Nobody
# keeps data there, and nothing here needs the kernel's own files there.
ANTEROOM = Path("/sys")
# What an unprivileged build may see of the machine: its own root and nothing else.
BUILDER = 1000
# What a package manager needs to unpack files and run maintainer scripts; nothing that reaches out of its root.
PRIVILEGES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"),
    *("CAP_SETFCAP", "CAP_SETPCAP", "CAP_SYS_CHROOT", "CAP_AUDIT_WRITE"),
)
HOST_TOOLS = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/dnf",
    "/etc/rpm",
)
HOST_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")
HOST_CERTIFICATES = ("/etc/ssl", "/etc/pki", "/etc/ca-certificates")
# A root's own /etc/ssl belongs to its packages; its package manager is told of the host's certificates here.
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATES_IN_ROOT = "/run/host-certificates.crt"
EXIT_SETUP_FAILED = 125
KILLED = 137
FULL_BYTES = 1024**2
FULL_FILES = 16
MOST_RESULTS = 2000  # files: twice what the check of results allows, which then tells of it


def main() -> int:
    """Set up the root, run the command in it, bring out its results."""
    try:
        return _main(json.loads(sys.argv[1]))
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"conveyor: the sandbox could not be set up: {error}\n")
        return EXIT_SETUP_FAILED


def _main(spec: dict[str, Any]) -> int:
    if os.getppid() != spec["caller"]:  # it was killed before this process came to ask for being killed with it
        return EXIT_SETUP_FAILED
    for group in spec["cgroups"]:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    os.umask(0o022)
    work = _scratch(spec)
    users = _users(spec, work) if spec["privileged"] else None
    merged = _mount_root(spec, work, users.first if users else 0)
    if not spec["privileged"]:
        _prepare_builder(spec, merged)
    merged = _open_to_all(spec, merged, users.trees if users else {})
    limited = spec["upper"] is None and work.is_mount()
    watch = Watch(None if limited else Path(spec["upper"] or work), spec["scratch_bytes"])
    code = _run_in_sandbox(spec, merged, users, watch)
    if watch.disk_full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(work))
    if code is None:
        return EXIT_SETUP_FAILED
    full = watch.over or (limited and is_full(work))
    if code == 0 and spec["results"]:
        full = not collect(merged / "build/results", Path(spec["results"]), spec["scratch_bytes"])
        code = EXIT_SETUP_FAILED if full else 0
    Path(spec["status"]).write_text(json.dumps({"exit": code, "scratch_full": full}))
    return 0


def _run_in_sandbox(spec: dict[str, Any], merged: Path, users: Users | None, watch: Watch) -> int | None:
    """Run the command; returns its exit code, None when bubblewrap did not come to run it."""
    reading, writing = os.pipe()
    rules = os.open(spec["filter"], os.O_RDONLY)
    argv = [*_drop_privileges(spec), *bwrap(spec, merged, writing, rules)]
    # The sandboxed command can read the environment of bubblewrap, which is the first process that it sees.
    environment = {"PATH": os.environ["PATH"]}
    prepare = _before(spec, users, os.pidfd_open(os.getpid()))
    # Else bubblewrap's child would outlive it for as long as setting up takes, and only then ask to die with it.
    start_in_new_process_ids()
    with subprocess.Popen(
        argv,
        env=environment,
        pass_fds=(writing, rules),
        preexec_fn=prepare,  # noqa: PLW1509 - no thread runs
    ) as process:
        os.close(writing)
        status = [json.loads(line) for line in watch.read(reading, process).splitlines()]
    if watch.over:
        return KILLED
    return next((entry["exit-code"] for entry in status if "exit-code" in entry), None)


def _before(spec: dict[str, Any], users: Users | None, parent: int) -> Callable[[], None]:
    """What the process does before it becomes the sandbox."""

    def prepare() -> None:
        see_own_processes()  # bubblewrap looks there for its child
        if not spec["cgroups"]:
            # Each process by itself, and all of the user together: the best that there is without control groups.
            _limit(resource.RLIMIT_DATA, spec["memory"])
            _limit(resource.RLIMIT_NPROC, spec["processes"])
        if spec["upper"] is not None:
            # Space that is allotted in one call would be gone before anyone looks.
            _limit(resource.RLIMIT_FSIZE, spec["scratch_bytes"])
        if users is not None:
            become_root(users)
        die_with(parent)

    def prepare_or_tell() -> None:
        try:
            prepare()
        except OSError as error:  # subprocess would not tell which
            os.write(2, f"conveyor: the sandbox could not be set up: {error}\n".encode())
            os._exit(EXIT_SETUP_FAILED)

    return prepare_or_tell


def _limit(kind: int, amount: int) -> None:
    _, most = resource.getrlimit(kind)
    allowed = amount if most == resource.RLIM_INFINITY else min(amount, most)
    resource.setrlimit(kind, (allowed, allowed))


def _scratch(spec: dict[str, Any]) -> Path:
    """Have the place that takes all writes; returns a folder in it.

    A throw-away one is limited by its size. Without root of the host there are no loop devices, and overlayfs cannot
    always use memory: it is a plain folder then.
    """
    work = Path(spec["job"])
    if spec["upper"] is not None:
        return work
    place, flags = work / "scratch", MS_NOSUID | MS_NODEV
    if not spec["scratch_image"]:
        mount_scratch(place, spec["scratch_bytes"], None, flags)
        if in_user_namespace() and not _takes_attributes(place):
            unmount(place)
    elif not in_user_namespace():
        mount_scratch(place, spec["scratch_bytes"], work / "scratch.img", flags)
    return place


def _takes_attributes(folder: Path) -> bool:
    """Whether overlayfs can mark what it hides: tmpfs took a user's attributes from Linux 6.6 on only."""
    try:
        os.setxattr(folder, "user.overlay.test", b"y")
    except OSError:
        return False
    os.removexattr(folder, "user.overlay.test")
    return True


def mount_scratch(place: Path, size: int, image: Path | None, flags: int) -> None:
    """Mount an empty file system of `size` bytes: in memory, or in a new image file."""
    if image is None:
        mount("scratch", place, "tmpfs", flags, f"size={size},mode=0755")
        return
    with image.open("wb") as file:
        file.truncate(size)
    _run(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1", str(image)])
    options = ["loop", "nosuid", *(["nodev"] if flags & MS_NODEV else [])]
    _run(["mount", "-o", ",".join(options), str(image), str(place)])
    # The mount keeps it alive; without a name it cannot be left behind.
    image.unlink()


def _upper(spec: dict[str, Any], work: Path) -> tuple[Path, Path]:
    """The folder that takes what is written, and the one that overlayfs works in."""
    upper = Path(spec["upper"]) if spec["upper"] is not None else work / "upper"
    overlay_work = (upper.parent if spec["upper"] is not None else work) / "work"
    upper.mkdir(exist_ok=True)
    overlay_work.mkdir(exist_ok=True)
    return upper, overlay_work


def _users(spec: dict[str, Any], work: Path) -> Users:
    """Make the users of a package manager, and let it see as its own what it works on."""
    upper, overlay_work = _upper(spec, work)
    folders = [Path(spec["layers_folder"])] if spec["layers"] else []
    if spec["upper"] is not None:
        folders.append(upper.parent)
    users = package_manager_users(folders, [Path(source) for source, _, _ in spec["binds"]])
    if spec["upper"] is None:
        for folder in (upper, overlay_work):
            os.chown(folder, users.first, users.first)
    return users


def _mount_root(spec: dict[str, Any], work: Path, owner: int) -> Path:
    """Stack the layers below a writable one; returns where the root is.

    Args:
        spec: the specification.
        work: the folder that takes all writes.
        owner: the id of root in the layers, as they are seen here.
    """
    upper, overlay_work = _upper(spec, work)
    if not spec["layers"]:
        return upper
    merged = work / MERGED
    merged.mkdir(exist_ok=True)
    # Relative names keep the option string short; the kernel takes one page of it.
    os.chdir(spec["layers_folder"])
    lower = ":".join(f"{layer}/root" for layer in spec["layers"])
    options = f"lowerdir={lower},upperdir={_escape(upper)},workdir={_escape(overlay_work)}"
    if in_user_namespace():
        options += ",userxattr"
    if spec["privileged"] or spec["upper"] is None:
        # Nobody waits for the disk: what is written is thrown away, or is a layer, which is brought to the disk as a
        # whole once it is finished. The kernel's mark against using it after a crash is in the way of the next step.
        shutil.rmtree(overlay_work / "work/incompat", ignore_errors=True)
        options += ",volatile"
    with files_made_as(owner):
        mount("overlay", merged, "overlay", MS_NODEV, options)
    os.chdir("/")
    return merged


def _prepare_builder(spec: dict[str, Any], merged: Path) -> None:
    """Give the build its user, its folders and its input."""
    build = merged / "build"
    build.mkdir(exist_ok=True)
    for name in ("tree", "results", "home"):
        folder = build / name
        folder.mkdir(exist_ok=True)
        os.chown(folder, spec["uid"], spec["uid"])
    # A build cannot make these itself, and bubblewrap mounts as the build's user.
    for _, target, _ in spec["binds"]:
        if target.startswith("/build/"):
            (merged / target.removeprefix("/")).touch()
    if spec["input"]:
        shutil.copytree(spec["input"], build / "tree", symlinks=True, dirs_exist_ok=True)
        _give(build / "tree", spec["uid"])
    for file, line in (
        ("passwd", f"build:x:{BUILDER}:{BUILDER}::/build/home:/bin/sh"),
        ("group", f"build:x:{BUILDER}:"),
    ):
        path = merged / "etc" / file
        text = path.read_text() if path.exists() else ""
        if not any(entry.startswith("build:") for entry in text.splitlines()):
            path.write_text(f"{text.rstrip(chr(10))}\n{line}\n".lstrip("\n"))


def _open_to_all(spec: dict[str, Any], merged: Path, trees: Mapping[Path, int]) -> Path:
    """Show the root and what is bound into it below a folder that every user can pass; returns where the root is."""
    mount("anteroom", ANTEROOM, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    opened = [
        _bind(Path(source), ANTEROOM / str(number), trees.get(Path(source)))
        for number, (source, _, _) in enumerate(spec["binds"])
    ]
    spec["binds"] = [
        (str(path), target, writable) for path, (_, target, writable) in zip(opened, spec["binds"], strict=True)
    ]
    return _bind(merged, ANTEROOM / "root", None)


def _bind(source: Path, place: Path, tree: int | None) -> Path:
    """Show a path in a place, or the tree that has it with other owners."""
    if source.is_dir():
        place.mkdir()
    else:
        place.touch()
    if tree is None:
        mount(str(source), place, "none", MS_BIND, "")
    else:
        attach(tree, place)
    return place


def _give(folder: Path, uid: int) -> None:
    for base, folders, files in os.walk(folder):
        for name in ["", *folders, *files]:
            os.chown(Path(base) / name, uid, uid, follow_symlinks=False)


def _drop_privileges(spec: dict[str, Any]) -> list[str]:
    if spec["privileged"]:
        return []
    uid = str(spec["uid"])
    return [
        *("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"),
        *("--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs", "--pdeathsig", "KILL", "--"),
    ]


def bwrap(spec: dict[str, Any], merged: Path, status: int, rules: int) -> list[str]:
    """The command line of bubblewrap for a specification.

    Args:
        spec: the specification.
        merged: where the root is.
        status: descriptor on which it tells what it does.
        rules: descriptor of the filter of system calls.
    """
    argv = [
        "bwrap",
        "--json-status-fd",
        str(status),
        "--seccomp",
        str(rules),
        "--die-with-parent",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--hostname",
        "build",
    ]
    if spec["new_session"]:
        argv.append("--new-session")
    if not spec["network"]:
        argv.append("--unshare-net")
    argv += ["--cap-drop", "ALL"]
    if spec["privileged"]:
        argv += [word for name in PRIVILEGES for word in ("--cap-add", name)]
    else:
        argv += ["--unshare-user", "--disable-userns", "--uid", str(BUILDER), "--gid", str(BUILDER)]
    argv += _root_arguments(spec, merged)
    argv += [*_proc("/proc"), "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108
    if spec["network"]:
        shared = (*HOST_NETWORK, *(HOST_CERTIFICATES if spec["host_tools"] else ()))
        argv += [word for path in shared for word in ("--ro-bind-try", path, path)]
        argv += ["--ro-bind-try", CERTIFICATES, CERTIFICATES_IN_ROOT]
    for source, target, writable in spec["binds"]:
        argv += ["--bind" if writable else "--ro-bind", source, target]
    argv += ["--chdir", spec["chdir"], "--clearenv"]
    argv += [word for name, value in sorted(spec["environment"].items()) for word in ("--setenv", name, value)]
    return [*argv, "--", *spec["argv"]]


def _root_arguments(spec: dict[str, Any], merged: Path) -> list[str]:
    if not spec["host_tools"]:
        return ["--bind", str(merged), "/"]
    argv = ["--tmpfs", "/", "--dir", "/var/tmp", "--dir", "/run"]  # noqa: S108
    for path in HOST_TOOLS:
        if Path(path).is_symlink():
            argv += ["--symlink", str(Path(path).readlink()), path]
        else:
            argv += ["--ro-bind-try", path, path]
    argv += ["--bind", str(merged), MERGED_TARGET]
    return [*argv, *_proc(f"{MERGED_TARGET}/proc"), "--dev", f"{MERGED_TARGET}/dev"]


def _proc(place: str) -> list[str]:
    """A /proc of the sandbox's own. bubblewrap leaves /proc/sys writable for root, and so the kernel's settings."""
    return ["--proc", place, "--ro-bind", "/proc/sys", f"{place}/sys"]


def collect(results: Path, into: Path, limit: int) -> bool:
    """Copy the regular files that the build left; anything else in the folder is left out.

    Returns:
        False when they are larger than `limit` bytes in all: holes took no room in the sandbox, but would here.
    """
    folder = os.open(results, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    left = limit
    for name in sorted(os.listdir(folder))[:MOST_RESULTS]:  # noqa: PTH208
        descriptor = _open_regular(name, folder)
        if descriptor is None:
            continue
        with os.fdopen(descriptor, "rb") as source:
            left -= os.fstat(descriptor).st_size
            if left < 0:
                break
            with (into / name).open("xb") as copy:
                shutil.copyfileobj(source, copy, 1024 * 1024)
    os.close(folder)
    return left >= 0


def _open_regular(name: str, folder: int) -> int | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def is_full(folder: Path) -> bool:
    """Whether hardly anything is left: ext4 keeps some hundred blocks for itself."""
    usage = os.statvfs(folder)
    left = usage.f_bavail * usage.f_frsize
    return left < max(FULL_BYTES, usage.f_blocks * usage.f_frsize // 100) or usage.f_ffree < FULL_FILES


def _escape(path: Path) -> str:
    """A path inside overlayfs's option string."""
    return str(path).replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
