"""What signs at this site, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from conveyor.buildroot import health
from conveyor.errors import SigningFailed, SigningUndecided
from conveyor.model.health import Finding, Program
from conveyor.model.signing import KeyState, SigningKey
from conveyor.model.target import Format
from conveyor.repository.signing.gnupg import KeyHome
from conveyor.repository.signing.published import Signing
from conveyor.repository.signing.rpm import RpmSigner
from conveyor.repository.signing.signer import REMEDIES, GpgSigner

if TYPE_CHECKING:
    from conveyor.config import SigningSettings

SUBJECT = "signing"
PROGRAMS = (Program(name="gpg", package="gpg"), Program(name="gpg-agent", package="gpg-agent"))
PACKAGE_PROGRAMS = {Format.RPM: (Program(name="rpmsign", package="rpm"),)}
UNDECIDED = "the settings do not say whether repositories are signed"
DECIDE = "make a key with 'conveyor key create', or say 'unsigned = true' below [signing] in conveyor.toml"


def open_signing(settings: SigningSettings) -> Signing | None:
    """What signs; None where nothing is signed. The key is not looked at yet."""
    signer = open_signer(settings)
    if signer is None:
        return None
    return Signing(signer=signer, packages={Format.RPM: RpmSigner(signer.home, signer.key)})


def open_signer(settings: SigningSettings) -> GpgSigner | None:
    """The signer of metadata; None where nothing is signed."""
    if settings.key is None:
        return None
    home = KeyHome(folder=settings.home, passphrase_file=settings.passphrase_file)
    return GpgSigner(home, settings.key, also=settings.also, retired=settings.retired)


def keys(settings: SigningSettings) -> tuple[SigningKey, ...]:
    """The keys of the settings, the one that signs first.

    Raises:
        SigningFailed: one is not there.
    """
    signer = open_signer(settings)
    return () if signer is None else signer.found()


def require_signing(settings: SigningSettings) -> None:
    """Refuse to begin what could not be published at the end.

    Raises:
        SigningUndecided: nobody has said whether repositories are signed.
        SigningFailed: the key does not sign.
    """
    signer = open_signer(settings)
    if signer is not None:
        signer.sign(b"")
    elif not settings.unsigned:
        raise SigningUndecided(f"nothing is published yet: {UNDECIDED}", hint=DECIDE)


def unsigned_note(settings: SigningSettings) -> str:
    """What people are told where nothing is signed; empty where it is."""
    if settings.key is not None:
        return ""
    if settings.unsigned:
        return "the repositories are not signed, as the settings say"
    return f"{UNDECIDED}; {DECIDE}"


def findings(settings: SigningSettings, formats: Collection[Format]) -> Iterator[Finding]:
    """What `conveyor doctor` tells of signing: the programs, each key, and whether it signs."""
    signer = open_signer(settings)
    if signer is None:
        detail = "nothing is signed, as the settings say" if settings.unsigned else UNDECIDED
        yield Finding(
            subject=SUBJECT, good=settings.unsigned, detail=detail, remedy="" if settings.unsigned else DECIDE
        )
        return
    needed = [*PROGRAMS, *(program for each in sorted(formats) for program in PACKAGE_PROGRAMS.get(each, ()))]
    missing = health.missing_programs(needed)
    if missing:
        names = ", ".join(program.name for program in missing)
        yield Finding(subject=SUBJECT, good=False, detail=f"{names} missing", remedy=health.install_command(missing))
        return
    try:
        signing = {settings.key, *settings.also}
        for key in signer.found():
            yield key_finding(key, datetime.now(UTC), signs=key.fingerprint in signing)
        signer.sign(b"")
    except SigningFailed as error:
        yield Finding(subject=SUBJECT, good=False, detail=error.summary, remedy=error.hint)


def key_finding(key: SigningKey, now: datetime, *, signs: bool) -> Finding:
    """What is to be said of one key.

    Args:
        key: the key.
        now: the current time.
        signs: whether it has to sign; of others clients only need the public half.
    """
    until = f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never"
    detail = f"{key.fingerprint} of {key.owner}: {key.state if signs else 'retired'}, expires {until}"
    if not signs:
        return Finding(subject=SUBJECT, good=True, detail=detail)
    remedy = "" if key.state is KeyState.GOOD else REMEDIES[key.state]
    if not remedy and key.expires_soon(now):
        remedy = f"{key.fingerprint} expires soon: {REMEDIES[KeyState.EXPIRED]}"
    return Finding(subject=SUBJECT, good=key.state is KeyState.GOOD, detail=detail, remedy=remedy)
