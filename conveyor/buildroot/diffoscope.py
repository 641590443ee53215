"""diffoscope on two files of builds, in the sandbox: it parses whatever upstreams made."""

from __future__ import annotations

import shutil
from pathlib import Path

from conveyor.buildroot.isolation.sandbox import Bind, Call, Sandbox
from conveyor.errors import CommandMissing, CommandTimedOut
from conveyor.model.target import Limits

PROGRAM = "diffoscope"
LIMITS = Limits(seconds=900, memory=4 * 1024**3, disk=4 * 1024**3, processes=500)
REPORT_BYTES = 200_000


class Diffoscope:
    """Says what differs in two files.

    Args:
        sandbox: runs it, with the host's programs and without the host's files.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def look_closer(self, recorded: Path, rebuilt: Path) -> str:
        """Diffoscope's report as text, the published file on the left."""
        places = {"recorded": recorded, "rebuilt": rebuilt}
        binds = tuple(Bind(source=path.resolve(), target=f"/{place}/{path.name}") for place, path in places.items())
        options = ("--no-progress", "--text-color", "never", "--max-text-report-size", str(REPORT_BYTES))
        argv = (PROGRAM, *options, "--text", "-", *(bind.target for bind in binds))
        call = Call(argv=argv, layers=(), limits=LIMITS, privileged=True, host_tools=True, binds=binds)
        try:
            return self._sandbox.run(call).output[:REPORT_BYTES]
        except CommandTimedOut as error:
            return error.summary


def require() -> None:
    """See that diffoscope is there.

    Raises:
        CommandMissing: it is not.
    """
    if shutil.which(PROGRAM) is None:
        raise CommandMissing(
            f"{PROGRAM} is not installed", hint="install Debian's package diffoscope-minimal, or leave --diffoscope out"
        )
