"""Checks detached signatures against the public keys of the site, by gpgv: no keyring of anybody's is looked at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from conveyor.command import run

SECONDS = 60.0
GOOD = "[GNUPG:] VALIDSIG "


class KeysChecker:
    """The port SignatureChecker on a Signer's public keys.

    Args:
        public_keys: gives the keys, ASCII-armoured.
    """

    def __init__(self, public_keys: Callable[[], bytes]) -> None:
        self._public_keys = public_keys

    def check(self, content: bytes, signature: bytes) -> str:
        """See the port.

        Raises:
            SigningFailed: a key of the site is missing.
            CommandMissing: gpg or gpgv is not installed.
        """
        with tempfile.TemporaryDirectory(prefix="conveyor-keys-") as folder:
            return _check(Path(folder), self._public_keys(), content, signature)


def _check(folder: Path, keys: bytes, content: bytes, signature: bytes) -> str:
    files = {"keys.asc": keys, "content": content, "content.asc": signature}
    for name, written in files.items():
        (folder / name).write_bytes(written)
    ring = folder / "keys.gpg"
    home = ("--homedir", str(folder))
    run(("gpg", "--batch", *home, "--output", str(ring), "--dearmor", str(folder / "keys.asc")), timeout=SECONDS)
    named = (str(folder / "content.asc"), str(folder / "content"))
    done = run(("gpgv", *home, "--status-fd", "1", "--keyring", str(ring), *named), timeout=SECONDS, check=False)
    lines = done.output.splitlines()
    if done.returncode == 0 and any(line.startswith(GOOD) for line in lines):
        return ""
    said = [line.removeprefix("gpgv: ") for line in lines if line.startswith("gpgv: ")]
    return f"its signature is not good: {said[-1] if said else 'gpgv does not know it'}"
