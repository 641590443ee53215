"""What the header Authorization says."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from conveyor.errors import NotRecognized


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A secret that was sent.

    Attributes:
        name: whose it is said to be; None where that is not said.
        secret: the secret.
    """

    name: str | None
    secret: str = field(repr=False)


def parse(header: str) -> Credentials:
    """What a header of RFC 6750 or RFC 7617 holds.

    Raises:
        NotRecognized: it is none.
    """
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return Credentials(name=None, secret=rest.strip())
    if scheme.lower() == "basic":
        try:
            name, colon, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise _unreadable() from error
        if colon:
            return Credentials(name=name, secret=secret)
    raise _unreadable()


def _unreadable() -> NotRecognized:
    return NotRecognized("the header Authorization is neither 'Bearer TOKEN' nor Basic with a name and a secret")
