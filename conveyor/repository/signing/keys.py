"""The keys in a home: what they are, and how one is made."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from conveyor.errors import SigningFailed, UserError
from conveyor.model.signing import KeyState, SigningKey
from conveyor.repository import files
from conveyor.repository.signing.gnupg import PRIVATE_KEYS, PUBLIC_KEYS, KeyHome, Session, session

# What rpm of CentOS 9, every apt and sequoia read alike; EdDSA is newer than rpm 4.14.
ALGORITHM = "rsa4096"
REVOCATIONS = "openpgp-revocs.d"
OWNER = re.compile(r"[^\x00-\x1f\x7f<>]{1,100}( <[^\s<>@]+@[^\s<>@]+>)?")
STATES = {"e": KeyState.EXPIRED, "r": KeyState.REVOKED, "d": KeyState.DISABLED}
# gpg's DETAILS, "Format of the colon listings": the fields of a line, from 0.
VALIDITY, MADE, EXPIRES, TEXT, CAPABILITIES = 1, 5, 6, 9, 11


def find(opened: Session, fingerprint: str) -> SigningKey | None:
    """The key with a fingerprint; None where the home has none, or only as a subkey."""
    said = opened.look("--with-colons", "--fixed-list-mode", "--with-keygrip", "--list-keys", fingerprint).output
    for key, grip in _parse(line.split(":") for line in said.splitlines()):
        if key.fingerprint == fingerprint:
            lost = key.state in {KeyState.GOOD, KeyState.UNFIT} and not _has_private(opened, grip)
            return replace(key, state=KeyState.PUBLIC) if lost else key
    return None


def _has_private(opened: Session, grip: str) -> bool:
    """Whether the private half is there; in a token, a stub is."""
    return (opened.folder / PRIVATE_KEYS / f"{grip}.key").exists()


def _parse(lines: Iterable[list[str]]) -> Iterator[tuple[SigningKey, str]]:
    """Each primary key and its keygrip: its line, the fingerprint and grip that follow it, the first user id."""
    primary: list[str] | None = None
    fingerprint = grip = ""
    for fields in lines:
        if fields[0] == "pub":
            primary, fingerprint, grip = fields, "", ""
        elif primary is not None and fields[0] == "fpr":
            fingerprint = fingerprint or fields[TEXT]
        elif primary is not None and fields[0] == "grp":
            grip = grip or fields[TEXT]
        elif primary is not None and fields[0] == "uid":
            yield _key(primary, fingerprint, fields[TEXT]), grip
            primary = None


def _key(primary: list[str], fingerprint: str, owner: str) -> SigningKey:
    state = STATES.get(primary[VALIDITY], KeyState.GOOD)
    if state is KeyState.GOOD and "s" not in primary[CAPABILITIES]:
        state = KeyState.UNFIT
    expires = primary[EXPIRES]
    return SigningKey(
        fingerprint=fingerprint,
        owner=owner,
        state=state,
        made_at=datetime.fromtimestamp(int(primary[MADE]), UTC),
        expires_at=datetime.fromtimestamp(int(expires), UTC) if expires else None,
    )


def create(folder: Path, owner: str, expires: str) -> str:
    """Make a key without passphrase in a home that has none yet; returns its fingerprint.

    Args:
        folder: the home, which is made: only its owner may enter it.
        owner: the user id, `Name` or `Name <address>`.
        expires: how long it lives, such as "3y", or "never".

    Raises:
        UserError: the home has keys already, or the user id cannot be one.
        SigningFailed: gpg did not make it.
    """
    if not OWNER.fullmatch(owner):
        raise UserError(f"{owner!r} cannot be the name in a key", hint="use: Name <address@example.org>")
    if any((folder / name).exists() for name in (*PUBLIC_KEYS, PRIVATE_KEYS)):
        raise UserError(
            f"there are keys in {folder} already", hint="see them with: conveyor key show; or name another with --home"
        )
    # Made aside: half a key that a kill left would be in the way of the next try.
    made = Path(tempfile.mkdtemp(prefix=".new-key-", dir=_parent(folder)))
    try:
        for name in (PRIVATE_KEYS, REVOCATIONS):
            (made / name).mkdir(mode=0o700)
        with session(KeyHome(folder=made)) as opened:
            # So that nothing secret is ever written elsewhere.
            (opened.folder / REVOCATIONS).symlink_to(made / REVOCATIONS)
            fingerprint = _generate(opened, owner, expires)
            shutil.copyfile(opened.folder / PUBLIC_KEYS[0], made / PUBLIC_KEYS[0])
        _settle(made)
        made.rename(folder)
        files.sync_folder(folder.parent)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return fingerprint


def _parent(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.parent


def _generate(opened: Session, owner: str, expires: str) -> str:
    options = ("--passphrase", "", "--pinentry-mode", "loopback")
    done = opened.gpg(*options, "--quick-generate-key", owner, ALGORITHM, "sign", expires)
    found = re.search(r"^\[GNUPG:\] KEY_CREATED P ([0-9A-F]{40})$", done.output, re.MULTILINE)
    if done.returncode != 0 or found is None:
        raise SigningFailed("no key could be made", details=done.output.splitlines()[-5:])
    return found[1]


def _settle(folder: Path) -> None:
    """Make keys durable; nobody but their owner may read them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.chmod(0o600)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            path.chmod(0o700)
            files.sync_folder(path)
    files.sync_folder(folder)
