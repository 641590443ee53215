"""The port Signer on gpg."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from conveyor.errors import SigningFailed
from conveyor.model.signing import KeyState, SigningKey
from conveyor.repository.signing import keys
from conveyor.repository.signing.gnupg import KeyHome, Session, session

LOCKED = ("Bad passphrase", "No pinentry", "No passphrase given", "Operation cancelled", "Inappropriate ioctl")
# What `status-fd` says of each signature that was made.
MADE = "[GNUPG:] SIG_CREATED "
EXTEND = "make its life longer with 'gpg --quick-set-expire', or change to another: docs/operating.md, Signing"
REMEDIES = {
    KeyState.EXPIRED: EXTEND,
    KeyState.REVOKED: "change to another key: docs/operating.md, Signing",
    KeyState.DISABLED: "enable it in its home, or change to another key",
    KeyState.PUBLIC: "import its private half, or name another key as 'key' below [signing] in conveyor.toml",
    KeyState.UNFIT: "the primary key itself must sign: dnf 5 knows no signature of a subkey",
}


class GpgSigner:
    """Signs with the publisher's keys.

    Args:
        home: where they are.
        key: fingerprint of the key that signs all.
        also: those of keys that sign metadata, too, while clients change from one key to another.
        retired: those of keys that sign no more, whose signatures clients still check.
    """

    def __init__(self, home: KeyHome, key: str, *, also: Sequence[str] = (), retired: Sequence[str] = ()) -> None:
        self.home = home
        self.key = key
        self._signers = tuple(dict.fromkeys((key, *also)))
        self._published = tuple(dict.fromkeys((*self._signers, *retired)))

    @property
    def public_keys(self) -> bytes:
        """See Signer.public_keys."""
        with session(self.home) as opened:
            for fingerprint in self._published:
                if keys.find(opened, fingerprint) is None:
                    raise _missing(self.home, fingerprint)
            exported = opened.folder / "public.asc"
            options = ("--armor", "--export-options", "export-minimal", "--output", str(exported))
            done = opened.look(*options, "--export", *self._published)
            if done.returncode != 0 or not exported.exists():
                raise SigningFailed("the public keys cannot be exported", details=done.output.splitlines()[-5:])
            return exported.read_bytes()

    def clear_sign(self, content: bytes) -> bytes:
        """See Signer.clear_sign."""
        return self._sign("--clear-sign", content)

    def sign(self, content: bytes) -> bytes:
        """See Signer.sign."""
        return self._sign("--detach-sign", content)

    def found(self) -> tuple[SigningKey, ...]:
        """The keys that sign, then the retired ones.

        Raises:
            SigningFailed: one is not there.
        """
        with session(self.home) as opened:
            return tuple(self._find(opened, fingerprint) for fingerprint in self._published)

    def _find(self, opened: Session, fingerprint: str) -> SigningKey:
        key = keys.find(opened, fingerprint)
        if key is None:
            raise _missing(self.home, fingerprint)
        return key

    def _in_order(self, opened: Session) -> Sequence[str]:
        """The fingerprints of the keys that sign, the oldest key last.

        zypper looks at the last signature only, and clients have known the oldest key for longest.
        """
        if len(self._signers) == 1:
            return self._signers
        found = [self._find(opened, fingerprint) for fingerprint in self._signers]
        return [key.fingerprint for key in sorted(found, key=lambda key: key.made_at, reverse=True)]

    def _sign(self, command: str, content: bytes) -> bytes:
        with session(self.home) as opened:
            signature = opened.folder / "signature"
            # "!" for this very key, not a subkey of it.
            users = [part for fingerprint in self._in_order(opened) for part in ("--local-user", f"{fingerprint}!")]
            arguments = (*users, "--armor", "--output", str(signature), command)
            done = opened.gpg(*arguments, content=content)
            if done.returncode != 0 or done.output.count(MADE) != len(self._signers):
                raise explain(opened, self.home, self._signers, done.output)
            return signature.read_bytes()


def explain(opened: Session, home: KeyHome, fingerprints: Sequence[str], output: str) -> SigningFailed:
    """Why keys do not sign, by what they are; else by what gpg said."""
    for fingerprint in fingerprints:
        key = keys.find(opened, fingerprint)
        if key is None:
            return _missing(home, fingerprint)
        if key.state is not KeyState.GOOD:
            return unusable(key)
    if any(words in output for words in LOCKED):
        return SigningFailed(
            f"nothing was signed: the passphrase of key {fingerprints[0]} is missing or wrong",
            cause=f"its passphrase file is {home.passphrase_file}" if home.passphrase_file else "no file has it",
            hint="name a file with it as 'passphrase_file' below [signing] in conveyor.toml",
        )
    said = [line for line in output.splitlines() if not line.startswith("[GNUPG:]")]
    return SigningFailed(f"key {fingerprints[0]} did not sign", cause=said[-1] if said else "", details=said[-5:])


def unusable(key: SigningKey) -> SigningFailed:
    """The error for a key that is there, but cannot sign."""
    when = ""
    if key.state is KeyState.EXPIRED and key.expires_at is not None:
        when = f" since {key.expires_at.astimezone(UTC):%Y-%m-%d}"
    state = "of no use without its private half" if key.state is KeyState.PUBLIC else f"{key.state.value}{when}"
    return SigningFailed(
        f"nothing was signed: key {key.fingerprint} is {state}", cause=key.owner, hint=REMEDIES[key.state]
    )


def _missing(home: KeyHome, fingerprint: str) -> SigningFailed:
    return SigningFailed(
        f"nothing was signed: there is no key {fingerprint} in {home.folder}",
        cause="'key', 'also' and 'retired' below [signing] take the fingerprints of primary keys",
        hint=f"see what is there: gpg --homedir {home.folder} --list-keys",
    )
