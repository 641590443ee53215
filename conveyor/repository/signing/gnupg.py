"""gpg on somebody's home of keys, in a home of its own that is gone afterwards, and its agent with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conveyor.command import Completed, run
from conveyor.errors import CommandMissing, CommandTimedOut, SigningFailed
from conveyor.repository import files

SECONDS = 60  # a key in a token takes its time
# Short, neither below the data directory nor $TMPDIR: a socket's path has 107 characters at the most, see unix(7).
SCRATCH = Path("/tmp")  # noqa: S108 - in it a folder of our own, with another name each time, for nobody else
PREFIX = "conveyor-signing-"
# SHA-512, as clients refuse SHA-1; no question to anybody; keys count because the configuration names them.
OPTIONS = (
    "batch",
    "no-tty",
    "no-autostart",
    "no-auto-check-trustdb",
    "trust-model always",
    "digest-algo SHA512",
    "cert-digest-algo SHA512",
    "no-emit-version",
    "no-comments",
)
PUBLIC_KEYS = ("pubring.kbx", "pubring.gpg")
PRIVATE_KEYS = "private-keys-v1.d"
UNLOCKING = "unlock"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHome:
    """Where keys are.

    Attributes:
        folder: the folder, as gpg's GNUPGHOME.
        passphrase_file: a file whose first line unlocks the private keys; None where they have no passphrase.
    """

    folder: Path
    passphrase_file: Path | None = None


class Session:
    """Runs programs that sign, while it is open.

    Args:
        folder: the temporary home.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def look(self, *arguments: str) -> Completed:
        """Run gpg on public keys only, without looking at its exit code."""
        return self._run(("gpg", *arguments), None, SECONDS)

    def gpg(self, *arguments: str, content: bytes | None = None) -> Completed:
        """Run gpg once with private keys; what `--status-fd` says is in the result's output."""
        return self.run(("gpg", "--status-fd", "1", *arguments), content=content)

    def run(self, argv: Sequence[str], *, content: bytes | None = None, seconds: float = SECONDS) -> Completed:
        """Run a program beside an agent that ends with it, without looking at its exit code. Once in a session.

        The agent is the program's own: it looks whether the program lives, so that even kill -9 leaves none.

        Raises:
            SigningFailed: gpg is not installed, or does not come to an end.
        """
        agent = ("gpg-agent", "--quiet", "--homedir", str(self.folder), "--daemon", "--")
        return self._run((*agent, *argv), content, seconds)

    def _run(self, argv: Sequence[str], content: bytes | None, seconds: float) -> Completed:
        environment = {"GNUPGHOME": str(self.folder), "HOME": str(self.folder), "GPG_TTY": ""}
        try:
            return run(argv, timeout=seconds, env=environment, input_bytes=content, check=False)
        except CommandMissing as error:
            raise SigningFailed(
                f"nothing can be signed: {argv[0]} is not installed", hint="apt-get install gpg gpg-agent"
            ) from error
        except CommandTimedOut as error:
            raise SigningFailed(
                f"nothing was signed: {argv[0]} took longer than {seconds:g} s",
                hint="a key that waits for a person cannot sign by itself",
            ) from error


@contextmanager
def session(home: KeyHome) -> Iterator[Session]:
    """A temporary home with the keys of another: none of its options, no lock and no agent's socket in it.

    Raises:
        SigningFailed: there is no such home, or it has no passphrase file where one was named.
    """
    _check(home)
    sweep()
    with files.room_needed("a signature"), files.temporary_folder(SCRATCH, prefix=PREFIX) as folder:
        for name in (*PUBLIC_KEYS, PRIVATE_KEYS):
            if (home.folder / name).exists():
                (folder / name).symlink_to((home.folder / name).absolute())
        options = [*OPTIONS, "pinentry-mode error"]
        if home.passphrase_file is not None:
            # gpg reads its options in words: a path of ours has no blank.
            (folder / UNLOCKING).symlink_to(home.passphrase_file.absolute())
            options = [*OPTIONS, "pinentry-mode loopback", f"passphrase-file {folder / UNLOCKING}"]
        (folder / "gpg.conf").write_text("".join(f"{option}\n" for option in options), encoding="utf-8")
        yield Session(folder)


def sweep() -> None:
    """Remove the temporary homes whose makers were killed."""
    files.remove_abandoned(SCRATCH, prefix=PREFIX)


def _check(home: KeyHome) -> None:
    if not home.folder.is_dir():
        raise SigningFailed(
            f"there is no folder {home.folder} with keys",
            hint="name the right one as 'home' below [signing] in conveyor.toml, or make a key: conveyor key create",
        )
    if home.passphrase_file is not None and not os.access(home.passphrase_file, os.R_OK):
        raise SigningFailed(
            f"the passphrase file {home.passphrase_file} cannot be read",
            hint="see 'passphrase_file' below [signing] in conveyor.toml",
        )
