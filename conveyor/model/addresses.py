"""Addresses as the world may see them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# What most URLs look like: nothing has to be taken from them.
_PLAIN = re.compile(r"(?:https?|git)://[a-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9._~/-]*")
_PUBLIC_SCHEMES = ("http", "https", "git", "ssh")
_SCP_LIKE = re.compile(r"(?:[\w.-]+@)?[\w.-]{2,}:[^:]+")
# RFC 5321, 4.1.2 and 4.5.3.1, without quoted local parts.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_MAILBOX = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])")
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
_MAILBOX_LENGTH = 254


def public_url(url: str) -> str:
    """A repository's URL as the world may see it: without credentials; of a path on this machine only its last part."""
    if not url or _PLAIN.fullmatch(url):
        return url
    parts = urlsplit(url)
    if parts.scheme in _PUBLIC_SCHEMES and parts.hostname:
        login = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
        return parts._replace(netloc=login + parts.netloc.rpartition("@")[2]).geturl()
    if not parts.scheme and _SCP_LIKE.fullmatch(url):
        return url
    return parts.path.rstrip("/").rpartition("/")[2]


def mailbox(text: str) -> str:
    """The address in "Name <address>", or in an address alone, as a mail server takes it.

    Raises:
        ValueError: there is none.
    """
    named = _NAMED.fullmatch(text.strip())
    local, at, domain = (named["address"] if named else text).strip().rpartition("@")
    try:
        address = f"{local}{at}{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        address = ""
    if not text.isprintable() or len(address) > _MAILBOX_LENGTH or not _MAILBOX.fullmatch(address):
        raise ValueError(f"{text[:80]!r} is no mail address")
    return address


def mailbox_name(text: str) -> str:
    """The name in "Name <address>"; empty for an address alone."""
    named = _NAMED.fullmatch(text.strip())
    return named["name"].strip() if named else ""
