"""What a hostile package would like to have, planted on the host, and the signs that one got it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "CONVEYOR_HOSTILE_SECRET"


@dataclass(slots=True, kw_only=True)
class Bait:
    """What is planted.

    Attributes:
        folder: a folder of the host, with the secret in it.
        marker: the secret, in a file, in the environment of this process, and behind an inherited descriptor.
        nap: argument of the process to see and to kill: nothing else sleeps so long.
        process: that process.
        port: of a server on all addresses of the host.
        address: an address of the host that is not the loopback's.
        connections: what has reached a server: TCP, or a socket in the file system or the abstract name space.
    """

    folder: Path
    marker: str
    nap: int
    process: subprocess.Popen[bytes]
    port: int
    address: str
    connections: list[str] = field(default_factory=list)

    @property
    def words(self) -> Mapping[str, str]:
        """What stands for what in the scripts of attempts."""
        return {
            "@SECRET@": str(self.folder / "secret"),
            # In two words for the shell to join: what a script itself says is no sign of the secret.
            "@MARKER@": f'{self.marker[:10]}""{self.marker[10:]}',
            "@OUTSIDE@": str(self.folder / "outside"),
            "@SOCKET@": str(self.folder / "socket"),
            "@ABSTRACT@": f"conveyor-bait-{self.nap}",
            "@PID@": str(self.process.pid),
            "@NAP@": str(self.nap),
            "@PORT@": str(self.port),
            "@ADDRESS@": self.address,
            "@STORE@": str(self.folder / "conveyor.db"),
        }

    def fill(self, script: str) -> str:
        """A script with the words filled in."""
        for word, value in self.words.items():
            script = script.replace(word, value)
        return script

    @property
    def taken(self) -> list[str]:
        """The signs on the host itself that something was had: empty if all is well."""
        signs = [f"reached: {name}" for name in self.connections]
        signs += [f"written: {path.name}" for path in (self.folder / "outside").iterdir()]
        if self.process.poll() is not None:
            signs.append("killed: the process")
        if (self.folder / "secret").read_text() != self.marker:
            signs.append("changed: the secret")
        return signs


@contextmanager
def planted(folder: Path) -> Iterator[Bait]:
    """Plant it all in a folder of its own."""
    (folder / "outside").mkdir(parents=True)
    marker = f"hostile-{secrets.token_hex(16)}"
    for name in ("secret", "conveyor.db"):
        (folder / name).write_text(marker)
    nap = 100_000_000 + secrets.randbelow(800_000_000)
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(["sleep", str(nap)]))
        stack.callback(process.kill)
        servers = {
            "network": socket.create_server(("0.0.0.0", 0)),
            "unix-socket": _unix(str(folder / "socket")),
            "abstract-socket": _unix(f"\0conveyor-bait-{nap}"),
        }
        for server in servers.values():
            stack.enter_context(server)
        # Nothing is kept from anybody by its owner or mode.
        for name in ("socket", "outside", ""):
            (folder / name).chmod(0o777)
        # A descriptor that every child would inherit, were it not closed for it.
        descriptor = os.open(folder / "secret", os.O_RDONLY)
        stack.callback(os.close, descriptor)
        os.set_inheritable(descriptor, True)
        os.environ[VARIABLE] = marker
        stack.callback(os.environ.pop, VARIABLE)
        bait = Bait(
            folder=folder,
            marker=marker,
            nap=nap,
            process=process,
            port=servers["network"].getsockname()[1],
            address=_address(),
        )
        for name, server in servers.items():
            threading.Thread(target=_serve, args=(name, server, bait.connections), daemon=True).start()
            stack.callback(server.shutdown, socket.SHUT_RDWR)
        yield bait


def _unix(name: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen()
    return server


def _serve(name: str, server: socket.socket, connections: list[str]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        connections.append(name)
        connection.close()


def _address() -> str:
    """An address of this host on a network; the loopback's where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
