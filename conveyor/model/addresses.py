"""Addresses as the world may see them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# What most URLs look like: nothing has to be taken from them.
_PLAIN = re.compile(r"(?:https?|git)://[a-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9._~/-]*")
_PUBLIC_SCHEMES = ("http", "https", "git", "ssh")
_SCP_LIKE = re.compile(r"(?:[\w.-]+@)?[\w.-]{2,}:[^:]+")


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
