"""Public keys of apt repositories, in the form that a .sources file holds them in."""

from __future__ import annotations

import base64
import textwrap
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from conveyor.errors import MirrorUnreachable, UserError

SECONDS = 60
LIMIT = 1024**2  # bytes: far more than any keyring has
ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def public_key(location: str) -> str:
    """The ASCII-armored key or keyring at an https or file URL, or a path.

    Raises:
        MirrorUnreachable: the URL cannot be fetched.
        UserError: the file cannot be read.
    """
    content = _content(location)
    text = content.decode("ascii", "ignore")
    return text[text.index(ARMOR) :].strip() if ARMOR in text else armored(content)


def armored(keyring: bytes) -> str:
    """A binary keyring in ASCII armor (RFC 9580, section 6.2; the checksum is optional)."""
    lines = textwrap.wrap(base64.b64encode(keyring).decode(), 64)
    return "\n".join([ARMOR, "", *lines, "-----END PGP PUBLIC KEY BLOCK-----"])


def signed_by(armoured: str) -> str:
    """The field of a .sources file that holds keys: each line of theirs is a continuation line of deb822."""
    return "Signed-By:" + "".join(f"\n {line or '.'}" for line in armoured.strip().splitlines())


def _content(location: str) -> bytes:
    parts = urlsplit(location)
    try:
        if parts.scheme != "https":
            return Path(unquote(parts.path) if parts.scheme == "file" else location).read_bytes()
        with urlopen(location, timeout=SECONDS) as answer:  # noqa: S310 - https, as was just checked
            content: bytes = answer.read(LIMIT)
            return content
    except URLError as error:
        raise MirrorUnreachable(f"the key {location} cannot be fetched", cause=str(error.reason)) from error
    except TimeoutError as error:
        raise MirrorUnreachable(f"the key {location} cannot be fetched", cause="the server does not answer") from error
    except OSError as error:
        raise UserError(f"the key {location} cannot be read", cause=error.strerror or "") from error
