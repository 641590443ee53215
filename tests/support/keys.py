"""Real keys, each of a kind that a publisher may meet; made once in a test run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.published import need

PASSPHRASE = "open sesame"
# Quick to make; what is published is signed by larger ones.
ALGORITHM = "rsa2048"
# When keys were made that were not made just now, as gpg has it.
MADE = {"first": "20240101T000000", "expired": "20200101T000000"}
KINDS = ("first", "second", "locked", "expired", "revoked", "public")


class Keys:
    """A home with one key of each kind, by its name.

    Args:
        home: an empty folder for it.
    """

    def __init__(self, home: Path) -> None:
        need("gpg", "gpg-agent")
        self.home = home
        home.mkdir(mode=0o700)
        self.fingerprints = {kind: self._make(kind) for kind in KINDS}
        self._revoke(self["revoked"])
        self._take_private_half(self["public"])
        self._gpg("gpgconf", "--kill", "all")

    def __getitem__(self, kind: str) -> str:
        return self.fingerprints[kind]

    def passphrase_file(self, folder: Path, text: str = PASSPHRASE) -> Path:
        path = folder / "a pass phrase"
        path.write_text(f"{text}\n")
        return path

    def export(self, *kinds: str) -> bytes:
        argv = ["gpg", "--batch", "--armor", "--export", *(self[kind] for kind in kinds)]
        return subprocess.run(argv, check=True, capture_output=True, env=self._environment()).stdout

    def _make(self, kind: str) -> str:
        made = ("--faked-system-time", MADE[kind]) if kind in MADE else ()
        said = self._gpg(
            *("gpg", "--batch", "--status-fd", "1", "--pinentry-mode", "loopback", *made),
            *("--passphrase", PASSPHRASE if kind == "locked" else ""),
            *("--quick-generate-key", f"{kind} <{kind}@example.org>", ALGORITHM, "sign"),
            "1y" if kind == "expired" else "never",
        )
        found = re.search(r"KEY_CREATED P (\w{40})", said)
        assert found, said
        return found[1]

    def _revoke(self, fingerprint: str) -> None:
        path = self.home / f"openpgp-revocs.d/{fingerprint}.rev"
        path.write_text(path.read_text().replace(":-----BEGIN", "-----BEGIN"))
        self._gpg("gpg", "--batch", "--import", str(path))

    def _take_private_half(self, fingerprint: str) -> None:
        said = self._gpg("gpg", "--batch", "--with-colons", "--with-keygrip", "--list-keys", fingerprint)
        grip = re.search(r"^grp:+(\w{40}):", said, re.MULTILINE)
        assert grip, said
        (self.home / f"private-keys-v1.d/{grip[1]}.key").unlink()

    def _gpg(self, *argv: str) -> str:
        done = subprocess.run(
            list(argv), check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment()
        )
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "GNUPGHOME": str(self.home), "LC_ALL": "C.UTF-8"}


def gpgv(keyring: bytes, folder: Path, *signed: Path) -> subprocess.CompletedProcess[str]:
    """The real gpgv, with armoured keys and nothing else."""
    need("gpgv")
    binary = folder / "keyring.gpg"
    subprocess.run(["gpg", "--yes", "--output", str(binary), "--dearmor"], input=keyring, check=True)
    argv = ["gpgv", "--keyring", str(binary), *map(str, signed)]
    return subprocess.run(argv, check=False, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
