"""Bases out of OCI images of this machine: which one it is, and how it becomes a folder (skopeo and umoci)."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from conveyor.command import run
from conveyor.errors import CommandFailed, ConveyorError, DiskFull, UserError
from conveyor.model.health import Program
from conveyor.ports import Place, RootCommand

PROGRAMS = (Program(name="skopeo", package="skopeo"), Program(name="umoci", package="umoci"))
SCRIPT = Path(__file__).with_name("unpack-image.sh")
SECONDS = 600  # an archive is read whole for its configuration
KEPT_SECONDS = 60.0  # that a new image may take to be noticed
NO_ROOM = "no space left on device"
SAID = re.compile(r'time="[^"]*" level=\w+ msg="?(?P<message>.*?)"?$')


class Images:
    """Images in the notation of containers-transports(5).

    Args:
        clock: gives seconds; never back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def identity(self, image: str) -> str:
        """The sha256 of the image's configuration, which names the content of all its layers.

        Raises:
            UserError: there is no such image.
        """
        with self._lock:
            asked_at, identity = self._known.get(image, (0.0, ""))
            if not identity or self._clock() - asked_at > KEPT_SECONDS:
                identity = _identity(image)
                self._known[image] = (self._clock(), identity)
            return identity


def unpack(image: str) -> RootCommand:
    """Fill an empty folder with an image's content."""
    argv = ("/bin/sh", "-c", SCRIPT.read_text(), "unpack-image", image, "{root}")
    return RootCommand(place=Place.HOST, argv=argv)


def failure(image: str, log: Sequence[str]) -> ConveyorError:
    """What the log of a failed `unpack` tells."""
    told = [line for line in log if line.strip()]
    cause = _message(told[-1]) if told else ""
    if any(NO_ROOM in line for line in log):
        return DiskFull(f"there is no room for the image {image}", cause=cause, hint="free some room")
    return CommandFailed(f"the image {image} could not be unpacked", cause=cause, details=told[-20:])


def _identity(image: str) -> str:
    completed = run(["skopeo", "inspect", "--config", "--raw", image], timeout=SECONDS, check=False)
    lines = [line for line in completed.output.splitlines() if line.strip()]
    if completed.returncode != 0:
        raise UserError(
            f"the image {image} cannot be read",
            cause=_message(lines[-1]) if lines else "",
            hint="make it on this machine ('podman images' lists what there is), or correct 'base_image' in repos.yaml",
        )
    return hashlib.sha256("\n".join(line for line in lines if not SAID.match(line)).encode()).hexdigest()


def _message(line: str) -> str:
    """What skopeo says, without the time and level of its log."""
    found = SAID.match(line)
    return found["message"].replace('\\"', '"') if found else line
