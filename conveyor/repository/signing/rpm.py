"""The port PackageSigner for RPM: rpmsign, which puts a signature of the header into the package."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from conveyor.command import search_path
from conveyor.errors import SigningFailed
from conveyor.repository.signing.gnupg import SECONDS, KeyHome, session
from conveyor.repository.signing.lead import has_signature
from conveyor.repository.signing.signer import explain

PROGRAM = "rpmsign"
# rpmsign takes many at once, but a command line has an end.
AT_ONCE = 200
SECONDS_A_GIBIBYTE = 120


class RpmSigner:
    """Signs RPMs and source RPMs. What a build wrote into them is only parsed: the header, by rpmsign.

    Args:
        home: where the key is.
        key: its fingerprint. An RPM can carry one signature that all clients know.
    """

    def __init__(self, home: KeyHome, key: str) -> None:
        self._home = home
        self._key = key

    def sign(self, paths: Sequence[Path]) -> None:
        """See PackageSigner.sign. A signature that a build left is replaced."""
        if paths and shutil.which(PROGRAM, path=search_path()) is None:
            raise SigningFailed(f"no RPM can be signed: {PROGRAM} is not installed", hint="apt-get install rpm")
        for start in range(0, len(paths), AT_ONCE):
            self._sign(paths[start : start + AT_ONCE])

    def has_signature(self, path: Path) -> bool:
        """See PackageSigner.has_signature."""
        return has_signature(path)

    def _sign(self, paths: Sequence[Path]) -> None:
        # Not what /etc/rpm or somebody's ~/.rpmmacros say: HOME is the session's.
        macros = {
            "_gpg_name": f"{self._key}!",
            "_gpg_path": "%{nil}",
            "__gpg": "/usr/bin/gpg",
            "_gpg_digest_algo": "sha512",
            "_gpg_sign_cmd_extra_args": "%{nil}",
            # Since rpm 6, which could ask another program.
            "_openpgp_sign": "gpg",
            "_openpgp_sign_id": f"{self._key}!",
        }
        defines = [part for name, value in macros.items() for part in ("--define", f"{name} {value}")]
        # rpmsign writes each package anew.
        seconds = SECONDS + SECONDS_A_GIBIBYTE * sum(path.stat().st_size for path in paths) / 2**30
        with session(self._home) as opened:
            done = opened.run((PROGRAM, *defines, "--resign", "--", *map(str, paths)), seconds=seconds)
            if done.returncode != 0:
                raise explain(opened, self._home, (self._key,), done.output)
        unsigned = [path.name for path in paths if not has_signature(path)]
        if unsigned:
            raise SigningFailed(f"{', '.join(unsigned[:5])} came out of rpmsign without a signature")
