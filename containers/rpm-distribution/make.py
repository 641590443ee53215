"""Make a local RPM repository out of a Debian root, for machines that can reach no RPM mirror.

A Debian suite is bootstrapped once; one RPM carries its minimal root, every other package becomes an RPM of its own,
and the whole is a repository for dnf. README.md says what is in it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from host_sources import debian_mirror
from naming import PythonDistribution
from spec import write_spec
from split import Contents, Findings, split

HERE = Path(__file__).resolve().parent
STAMP = "conveyor-distribution"
PROGRAMS = ("mmdebstrap", "rpmbuild", "createrepo_c", "setpriv", "unshare", "chroot")
# A program that outlived this one would go on writing where the next run works.
ENDS_WITH_THIS = ("setpriv", "--pdeathsig", "KILL")
LEFT_OUT_OF_BOOTSTRAP = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/doc/*")
SHOWN_LINES = 20
REMOVAL_TRIES = 50


class Failure(Exception):
    """The distribution cannot be made; the message says why."""


def main() -> int:
    """Make the distribution, unless it is there already; 0 if it is there at the end."""
    options = _options()
    output: Path = options.output.resolve()
    signal.signal(signal.SIGTERM, _stop)
    # Clients read it as users of their own, whatever the caller hides from others.
    os.umask(0o022)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if not _is_current(output):
            with _locked(output):
                _make_unless_current(output, options.mirror)
    except Failure as failure:
        print(f"make.py: {failure}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make a local RPM repository out of a Debian root.")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the repository to make")
    parser.add_argument("--mirror", metavar="URL", help="Debian mirror; default: the one that this host's apt uses")
    return parser.parse_args()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """Leave as on Ctrl-C, so that what was begun is removed."""
    raise KeyboardInterrupt


def _inputs() -> str:
    """A hash of all that the distribution depends on, but for the Debian suite's own content."""
    digest = hashlib.sha256(platform.machine().encode())
    files = (path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".md")
    for file in sorted(path for path in files if "__pycache__" not in path.parts):
        digest.update(f"{file.relative_to(HERE)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _is_current(output: Path) -> bool:
    stamp = output / STAMP
    return stamp.exists() and stamp.read_text(encoding="utf-8").strip() == _inputs()


@contextlib.contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Hold the lock on an output; whoever holds it may remove what others left behind."""
    with (output.parent / f".{output.name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_unless_current(output: Path, mirror: str | None) -> None:
    """Make the distribution aside and put it into place, the lock being held."""
    aside = output.parent / f".{output.name}.making"
    before = output.parent / f".{output.name}.before"
    _remove(aside)
    _remove(before)
    if _is_current(output):
        return
    started = time.monotonic()
    _check_host()
    try:
        aside.mkdir()
        repository = _make(aside, mirror)
        if output.exists():
            output.rename(before)
        repository.rename(output)
    finally:
        _remove(aside)
        _remove(before)
    print(f"{output}: made in {time.monotonic() - started:.0f} s")


def _remove(folder: Path) -> None:
    """Remove a folder, even while processes that were just killed may still write to it."""
    for _ in range(REMOVAL_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
    raise Failure(f"{folder} cannot be removed")


def _check_host() -> None:
    if os.geteuid() != 0:
        raise Failure("only root can bootstrap a Debian root: run it with sudo")
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise Failure(f"not installed: {', '.join(missing)}: apt install mmdebstrap rpm createrepo-c util-linux")


def _make(aside: Path, mirror: str | None) -> Path:
    """Make the repository inside a folder and return its path."""
    contents = _contents()
    mirror = mirror or debian_mirror(Path("/etc"))
    if mirror is None:
        raise Failure("this host's apt configuration names no Debian mirror: give one with --mirror")
    root, work, repository = aside / "root", aside / "work", aside / "repository"
    work.mkdir()
    _say(f"bootstrapping Debian {contents.suite} from {mirror}")
    _bootstrap(root, contents, mirror)
    macros = _add_macros(root)
    packages = split(root, contents, _findings(root, macros))
    _say(f"building {len(packages)} RPM packages")
    with _plainly_named(aside) as plain:
        spec = write_spec(packages, templates=HERE, into=plain / work.name)
        _build(spec, root=plain / root.name, work=plain / work.name, into=plain / repository.name)
    _say("indexing them")
    _run(["createrepo_c", "--quiet", "--general-compress-type=gz", "--no-database", str(repository)])
    (repository / STAMP).write_text(f"{_inputs()}\n", encoding="utf-8")
    return repository


@contextlib.contextmanager
def _plainly_named(folder: Path) -> Iterator[Path]:
    """Another path of a folder: rpmbuild gives paths to shells as they are, so a blank would make two of one."""
    with tempfile.TemporaryDirectory(prefix="conveyor-", dir="/run") as place:
        link = Path(place) / "folder"
        link.symlink_to(folder)
        yield link


def _say(message: str) -> None:
    print(message, flush=True)


def _contents() -> Contents:
    read = tomllib.loads((HERE / "distribution.toml").read_text(encoding="utf-8"))
    return Contents(
        suite=read["suite"],
        root=tuple(read["root"]),
        libraries=tuple(read["libraries"]),
        left_out=frozenset(read["left_out"]),
        left_out_paths=tuple(read["left_out_paths"]),
        provides={name: tuple(provided) for name, provided in read["provides"].items()},
    )


def _bootstrap(root: Path, contents: Contents, mirror: str) -> None:
    """Bootstrap a Debian root with all packages in it, in a mount namespace that ends with this process."""
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT_OF_BOOTSTRAP]
    _run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("mmdebstrap", "--mode=root", "--variant=essential", "--format=directory"),
            f"--include={','.join([*contents.root, *contents.libraries])}",
            '--aptopt=APT::Install-Recommends "false"',
            "--dpkgopt=force-unsafe-io",
            *excluded,
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            f"--essential-hook={HERE / 'hooks' / 'defer-byte-code'}",
            f"--customize-hook={HERE / 'hooks' / 'compile-byte-code'}",
            *(contents.suite, str(root), mirror),
        ]
    )


def _add_macros(root: Path) -> frozenset[str]:
    """Copy the macros into the root and return their paths in it, with those folders that are theirs alone."""
    tree = HERE / "macros"
    added = set()
    for source in sorted(path for path in tree.rglob("*") if "__pycache__" not in path.parts):
        target = root / source.relative_to(tree)
        if source.is_dir() and target.is_dir():
            continue
        if source.is_dir():
            target.mkdir(mode=0o755)
        else:
            shutil.copyfile(source, target)
            target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        added.add(f"/{source.relative_to(tree)}")
    return frozenset(added)


def _findings(root: Path, macros: frozenset[str]) -> Findings:
    metadata = sorted(root.glob("usr/lib/python3/dist-packages/*.*-info"))
    paths = "".join(f"/{path.relative_to(root)}\n" for path in metadata)
    names = (HERE / "dist_names.py").read_text(encoding="utf-8")
    table = _run(["chroot", str(root), "python3", "-c", names], given=paths).splitlines()
    libraries = sorted(path for path in root.glob("usr/lib/*-linux-gnu*/*.so*") if path.is_file())
    sonames = _run(
        ["chroot", str(root), "sh", "-c", (HERE / "soname_provides.sh").read_text(encoding="utf-8")],
        given="".join(f"/{path.relative_to(root)}\n" for path in libraries),
    )
    version = _run(["chroot", str(root), "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    return Findings(
        distributions=tuple(_distribution(row) for row in table),
        python_version=version.strip(),
        sonames=tuple((path, provided) for path, _, provided in map(_columns, sonames.splitlines())),
        macros=macros,
    )


def _columns(row: str) -> tuple[str, str, str]:
    return row.partition("\t")


def _distribution(row: str) -> PythonDistribution:
    path, name, version = row.split("\t")
    return PythonDistribution(path=path, name=name, version=version)


def _build(spec: Path, *, root: Path, work: Path, into: Path) -> None:
    defined = {
        "_topdir": work / "rpmbuild",
        "_tmppath": work,
        "_rpmdir": into,
        "_dbpath": work / "rpmdb",
        "debian_root": root,
    }
    options = [word for name, value in defined.items() for word in ("--define", f"{name} {value}")]
    _run(["rpmbuild", "--quiet", "-bb", *options, str(spec)])


def _run(argv: Sequence[str], *, given: str = "") -> str:
    """Run a program and return what it prints; its last words are in the failure."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root", "LC_ALL": "C.UTF-8"}
    ended = subprocess.run(
        [*ENDS_WITH_THIS, *argv],
        env=environment,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        last = "\n".join(ended.stdout.splitlines()[-SHOWN_LINES:])
        raise Failure(f"{argv[0]} ended with code {ended.returncode}\n{last}")
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main())
