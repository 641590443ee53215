"""Which mirror the host's own apt uses."""

from __future__ import annotations

from pathlib import Path

from conveyor.command import run
from conveyor.errors import MirrorUnreachable

SECONDS = 60


def host_mirror() -> str:
    """URL of the mirror that serves the host's own Debian release, by apt's own account.

    Raises:
        MirrorUnreachable: apt on this host names none.
    """
    codename = _host_codename()
    argv = ["apt-get", "indextargets", "--format", "$(CODENAME) $(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    for line in run(argv, timeout=SECONDS).output.splitlines():
        fields = line.split()
        if len(fields) == 3 and codename in fields[:2]:  # noqa: PLR2004
            return fields[2]
    raise MirrorUnreachable(
        "the host's apt names no mirror for its own release",
        hint="name one: 'mirror:' of the target in repos.yaml, or 'mirror' in conveyor.toml",
    )


def _host_codename() -> str:
    fields = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return fields.get("VERSION_CODENAME", "stable").strip('"')
