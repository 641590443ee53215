"""A real sshd of one's own, which lets in the user that runs the tests, and an `ssh` that knows its key or does not."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.left import naming
from tests.support.published import need
from tests.support.webserver import free_port

SSHD = "/usr/sbin/sshd"
# sshd wants an empty folder there, which its service makes.
RUN = Path("/run/sshd")
PATIENCE = 60.0
SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
"""
# The real client, with files of the test's in place of the user's own.
CLIENT = """\
#!/bin/sh
exec {ssh} -F {folder}/config "$@"
"""
CONFIG = """\
Host *
  UserKnownHostsFile {folder}/known
  GlobalKnownHostsFile /dev/null
  IdentityFile {folder}/{identity}
  IdentitiesOnly yes
"""


class SshServer:
    """The server.

    Args:
        folder: empty folder for its keys, and those of the client.
        port: where it listens.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._address = f"[127.0.0.1]:{port}"
        self._port = port
        for name in ("host", "login", "hanging"):
            self._make_key(name)
        hanging = f'command="cat" {self._public("hanging")}'
        (folder / "authorized").write_text(f"{self._public('login')}\n{hanging}\n")
        (folder / "sshd_config").write_text(SERVER.format(port=port, folder=folder))
        (folder / "bin").mkdir()
        (folder / "bin/ssh").write_text(CLIENT.format(ssh=shutil.which("ssh"), folder=folder))
        (folder / "bin/ssh").chmod(0o755)
        self.use("login")
        self.know("host")

    @property
    def environment(self) -> Mapping[str, str]:
        """What has the client found."""
        return {"PATH": f"{self._folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    @property
    def clients(self) -> list[int]:
        """Process ids of clients that run."""
        return naming(f"{self._folder}/config")

    def url(self, repository: Path) -> str:
        """The URL of a repository of this machine."""
        return f"ssh://{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1:{self._port}{repository}"

    def use(self, identity: str) -> None:
        """Have the client show a key: "login", or "hanging", for which the server listens and says nothing."""
        (self._folder / "config").write_text(CONFIG.format(folder=self._folder, identity=identity))

    def know(self, *keys: str) -> None:
        """Have the client know these keys as the server's, and no others."""
        known = "".join(f"{self._address} {self._public(name)}\n" for name in keys)
        (self._folder / "known").write_text(known)

    def _make_key(self, name: str) -> None:
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / name)]
        subprocess.run(argv, check=True)

    def _public(self, name: str) -> str:
        return (self._folder / f"{name}.pub").read_text().strip()


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """A server that runs until the end of the block; the test is skipped where there is none.

    Args:
        folder: an empty folder for it.
    """
    need(SSHD, "ssh", "ssh-keygen")
    if os.geteuid() == 0:
        RUN.mkdir(mode=0o755, exist_ok=True)
    server = SshServer(folder, free_port())
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=output)
    try:
        deadline = time.monotonic() + PATIENCE
        while "Server listening" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE)
