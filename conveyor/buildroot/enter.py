"""Runs one command in a root made of layers, as its own small program in a mount namespace of its own.

Called as `python3 -I enter.py SPEC`, SPEC being the JSON that conveyor.buildroot.sandbox makes. Whatever it mounts is
seen by this process and its children only, so nothing stays behind when it dies, not even on kill -9. It runs as root,
is given nothing that came from upstream but the files below its input folder, and needs the standard library only, as
the system's own Python runs it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

MS_NOSUID = 2
MS_NODEV = 4
MS_BIND = 4096
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
FULL_BYTES = 1024**2
FULL_FILES = 16
MOST_RESULTS = 2000  # files: twice what the check of results allows, which then tells of it


def main() -> int:
    """Set up the root, run the command in it, bring out its results."""
    spec = json.loads(sys.argv[1])
    for group in spec["cgroups"]:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    os.umask(0o022)
    work = _scratch(spec)
    merged = _mount_root(spec, work)
    if not spec["privileged"]:
        _prepare_builder(spec, merged)
        merged = _open_to_all(spec, merged)
    code = _run_in_sandbox(spec, merged)
    if code is None:
        return EXIT_SETUP_FAILED
    full = _is_full(work) if spec["upper"] is None else False
    if code == 0 and spec["results"]:
        full = not _collect(merged / "build/results", Path(spec["results"]), spec["scratch_bytes"])
        code = EXIT_SETUP_FAILED if full else 0
    Path(spec["status"]).write_text(json.dumps({"exit": code, "scratch_full": full}))
    return 0


def _run_in_sandbox(spec: dict[str, Any], merged: Path) -> int | None:
    """Run the command; returns its exit code, None when bubblewrap did not come to run it."""
    reading, writing = os.pipe()
    argv = [*_drop_privileges(spec), *bwrap(spec, merged, writing)]
    # The sandboxed command can read the environment of bubblewrap, which is the first process that it sees.
    with subprocess.Popen(argv, env={"PATH": os.environ["PATH"]}, pass_fds=(writing,)) as process:
        os.close(writing)
        with os.fdopen(reading) as lines:
            status = [json.loads(line) for line in lines]
        process.wait()
    return next((entry["exit-code"] for entry in status if "exit-code" in entry), None)


def _scratch(spec: dict[str, Any]) -> Path:
    """Mount the throw-away file system that takes all writes; returns a folder in it."""
    work = Path(spec["job"])
    if spec["upper"] is not None:
        return work
    if spec["scratch_image"]:
        image = work / "scratch.img"
        with image.open("wb") as file:
            file.truncate(spec["scratch_bytes"])
        _run(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1", str(image)])
        _run(["mount", "-o", "loop,nosuid,nodev", str(image), str(work / "scratch")])
        # The mount keeps it alive; without a name it cannot be left behind.
        image.unlink()
    else:
        options = f"size={spec['scratch_bytes']},mode=0755"
        _mount("scratch", work / "scratch", "tmpfs", MS_NOSUID | MS_NODEV, options)
    return work / "scratch"


def _mount_root(spec: dict[str, Any], work: Path) -> Path:
    """Stack the layers below a writable one; returns where the root is."""
    upper = Path(spec["upper"]) if spec["upper"] is not None else work / "upper"
    upper.mkdir(exist_ok=True)
    if not spec["layers"]:
        return upper
    overlay_work = (upper.parent if spec["upper"] is not None else work) / "work"
    merged = work / MERGED
    overlay_work.mkdir(exist_ok=True)
    merged.mkdir(exist_ok=True)
    # Relative names keep the option string short; the kernel takes one page of it.
    os.chdir(spec["layers_folder"])
    lower = ":".join(f"{layer}/root" for layer in spec["layers"])
    options = f"lowerdir={lower},upperdir={_escape(upper)},workdir={_escape(overlay_work)}"
    _mount("overlay", merged, "overlay", MS_NODEV, options)
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


def _open_to_all(spec: dict[str, Any], merged: Path) -> Path:
    """Show the root and what is bound into it below a folder that every user can pass; returns where the root is."""
    _mount("anteroom", ANTEROOM, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    opened = [_bind(Path(source), ANTEROOM / str(number)) for number, (source, _, _) in enumerate(spec["binds"])]
    spec["binds"] = [
        (str(path), target, writable) for path, (_, target, writable) in zip(opened, spec["binds"], strict=True)
    ]
    return _bind(merged, ANTEROOM / "root")


def _bind(source: Path, place: Path) -> Path:
    if source.is_dir():
        place.mkdir()
    else:
        place.touch()
    _mount(str(source), place, "none", MS_BIND, "")
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


def bwrap(spec: dict[str, Any], merged: Path, status: int) -> list[str]:
    """The command line of bubblewrap for a specification; it tells what it does on descriptor `status`."""
    argv = [
        "bwrap",
        "--json-status-fd",
        str(status),
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


def _collect(results: Path, into: Path, limit: int) -> bool:
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


def _is_full(folder: Path) -> bool:
    """Whether hardly anything is left: ext4 keeps some hundred blocks for itself."""
    usage = os.statvfs(folder)
    left = usage.f_bavail * usage.f_frsize
    return left < max(FULL_BYTES, usage.f_blocks * usage.f_frsize // 100) or usage.f_ffree < FULL_FILES


def _escape(path: Path) -> str:
    """A path inside overlayfs's option string."""
    return str(path).replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, options.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount {kind}: {os.strerror(number)}", str(target))


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"conveyor: the sandbox could not be set up: {error}\n")
        sys.exit(EXIT_SETUP_FAILED)
