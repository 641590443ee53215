"""The demonstration: real OpenStack libraries and nova, from git to installed packages, in both formats.

Run by `make demo`. The upstream repositories are made of real releases (containers/upstreams), since the real ones
cannot be reached from every machine; packaging, targets and all else are the project's own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor.buildroot.isolation.sandbox import Bind, Call
from conveyor.buildroot.overlay.layers import Stack
from conveyor.cli.build import Order, carry_out
from conveyor.cli.context import Context
from conveyor.cli.results import Result, exit_code, print_results
from conveyor.command import run
from conveyor.formats.rpm.dnf import local_paths
from conveyor.model.promotion import CURRENT
from conveyor.model.target import Format, Limits, RpmDistribution, Target
from conveyor.pipeline.poll import Wanted
from conveyor.wiring import Conveyor

TOP = Path(__file__).parents[2]
DATA = TOP / ".demo"
UPSTREAMS = TOP / ".cache/upstreams"
PACKAGES = ("oslo.i18n", "oslo.utils", "nova")
TARGETS = ("debian-13-amd64", "local-1-x86_64")
# What a client installs, and how it asks for the version that it got.
INSTALLED = {
    Format.DEB: ("python3-oslo.utils", "nova-api"),
    Format.RPM: ("python3-oslo-utils", "openstack-nova-api"),
}
QUERIES = {
    Format.DEB: "dpkg-query --show --showformat '${Package} ${Version}\\n'",
    Format.RPM: "rpm --query --queryformat '%{NAME} %{EVR}\\n'",
}
CLIENT = Limits(seconds=1200, memory=4 * 1024**3, disk=4 * 1024**3, processes=2000)
MAKING_SECONDS = 1200
SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class _Proof:
    """Remembers what has worked: the same lines on the same snapshot are not proved twice."""

    file: Path
    subject: str

    @property
    def done(self) -> bool:
        return self.file.exists() and self.file.read_text() == self.subject

    def write(self) -> None:
        self.file.write_text(self.subject)


def main() -> int:
    """Make the upstreams, build, prove the lines for clients, and print them."""
    given = Context(repos=TOP / "repos.yaml", settings=_settings(), data_dir=DATA, environ=os.environ)
    names = sorted({given.configuration.package(name).distribution for name in PACKAGES})
    say("upstream repositories out of real releases …")
    argv = [sys.executable, str(TOP / "containers/upstreams/make.py"), "--output", str(UPSTREAMS), *names]
    run(argv, timeout=MAKING_SECONDS)
    order = Order(targets=TARGETS, wanted=Wanted(), keep_root=False, shell=False)
    with given.opened(given.progress(silent=False)) as conveyor:
        conveyor.recovery.run()
        packages = [given.configuration.package(name) for name in PACKAGES]
        results = list(carry_out(given, conveyor, packages, order))
        lines = {} if exit_code(results) else _proved(given, conveyor, results)
    print_results(given.output, given.errors, results)
    for target, text in lines.items():
        say(f"\nTo install from {target}, as root on such a machine:\n\n{text}")
    return exit_code(results)


def say(text: str) -> None:
    """Print at once, whatever standard output is."""
    print(text, flush=True)


def _settings() -> Path:
    """The settings of the demonstration: upstreams come from this machine, which is its only client, too."""
    DATA.mkdir(exist_ok=True)
    path = DATA / "conveyor.toml"
    rewrites = f'[rewrites]\n"https://opendev.org/" = "{UPSTREAMS.as_uri()}/"\n'
    path.write_text(f"{rewrites}\n[signing]\nunsigned = true\n")
    return path


def _proved(given: Context, conveyor: Conveyor, results: Sequence[Result]) -> dict[str, str]:
    """The lines for each target, after they have worked in a throw-away root."""
    lines = {}
    for name in TARGETS:
        target = given.configuration.target(name)
        text = conveyor.tree.client_lines(name, CURRENT, INSTALLED[target.format])
        versions = {
            result.package: result.build.version for result in results if result.target == name and result.build
        }
        lines[name] = text
        proof = _Proof(DATA / f"proved-{name}", f"{conveyor.tree.pointed(name, CURRENT)}\n{text}")
        if proof.done:
            say(f"proved before on {name}")
            continue
        started = time.monotonic()
        installed = _install(conveyor, target, text)
        for package in ("oslo.utils", "nova"):
            if not any(str(versions[package]) in line for line in installed):
                raise SystemExit(f"{name}: {package} {versions[package]} was not installed, but {installed}")
        proof.write()
        say(f"proved on {name} in {time.monotonic() - started:.1f} s: {', '.join(installed)}")
    return lines


def _install(conveyor: Conveyor, target: Target, lines: str) -> list[str]:
    """Run the lines in a throw-away root of the target, with its own apt or dnf; returns the versions installed."""
    log = DATA / "client.log"
    log.write_text("")
    script = DATA / f"client-{target.name}.sh"
    query = f"{QUERIES[target.format]} {' '.join(INSTALLED[target.format])}"
    # A small root has no certificates of its own for an https mirror.
    apt = DATA / "client-apt.conf"
    apt.write_text('Acquire::https::CAInfo "/run/host-certificates.crt";\n')
    # Nor may it make namespaces, as rpm 4.20 does around scriptlets: it is in some already.
    macros = DATA / "client-rpmmacros"
    macros.write_text("%__transaction_unshare %{nil}\n")
    script.write_text(f"set -eu\n{_distribution(target)}{lines}echo versions:\n{query}\n")
    call = Call(
        argv=("/bin/sh", "/lines.sh"),
        layers=_client(conveyor, target, log).layers,
        limits=CLIENT,
        privileged=True,
        network=True,
        binds=(
            Bind(source=script, target="/lines.sh"),
            Bind(source=apt, target="/apt.conf"),
            Bind(source=macros, target="/root/.rpmmacros"),
            *_shared(conveyor, target),
        ),
        environment={"HOME": "/root", "APT_CONFIG": "/apt.conf", "DEBIAN_FRONTEND": "noninteractive"},
    )
    finished = conveyor.builders.sandbox.run(call)
    with log.open("a") as file:
        file.write(finished.output)
    if finished.exit_code != 0:
        last = "\n".join(finished.output.splitlines()[-SHOWN_LINES:])
        raise SystemExit(f"the lines for {target.name} did not work:\n{lines}\n{last}\nwhole log: {log}")
    return finished.output.rpartition("versions:\n")[2].splitlines()


def _client(conveyor: Conveyor, target: Target, log: Path) -> Stack:
    """A small root of the target that has its own package manager."""
    base = conveyor.builders.roots.base(target, log)
    return conveyor.builders.roots.satisfy(target, base, ("dnf",), None, log) if target.format is Format.RPM else base


def _shared(conveyor: Conveyor, target: Target) -> tuple[Bind, ...]:
    """What lies on this machine and is reached by file: URLs."""
    folders = [conveyor.settings.data_dir / "repos"]
    if isinstance(target.origin, RpmDistribution):
        folders += local_paths(target.origin)
    return tuple(Bind(source=folder, target=str(folder)) for folder in folders)


def _distribution(target: Target) -> str:
    """The distribution's own repositories, as a machine that runs it has them; Debian's are in the root."""
    if not isinstance(target.origin, RpmDistribution):
        return ""
    repositories = "".join(
        f"[{one.name}]\nname={one.name}\nbaseurl={one.url}\ngpgcheck=0\n" for one in target.origin.repositories
    )
    return f"mkdir -p /etc/yum.repos.d\ncat > /etc/yum.repos.d/distribution.repo <<'END'\n{repositories}END\n"


if __name__ == "__main__":
    sys.exit(main())
