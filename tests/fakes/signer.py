"""The port Signer for tests that have no key: signatures that anybody could make."""

from __future__ import annotations

import hashlib

from conveyor.errors import SigningFailed

BEGIN, END = b"-----BEGIN FAKE-----\n", b"-----END FAKE-----\n"


class FakeSigner:
    """Signs by a checksum.

    Attributes:
        locked: whether it refuses to sign.
    """

    def __init__(self) -> None:
        self.locked = False

    @property
    def public_keys(self) -> bytes:
        return b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nfake\n-----END PGP PUBLIC KEY BLOCK-----\n"

    def clear_sign(self, content: bytes) -> bytes:
        return BEGIN + content + self.sign(content) + END

    def sign(self, content: bytes) -> bytes:
        if self.locked:
            raise SigningFailed("nothing was signed: the fake is locked")
        return b"-----BEGIN PGP SIGNATURE-----\n" + hashlib.sha256(content).hexdigest().encode() + b"\n"
