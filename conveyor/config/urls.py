"""The addresses that a configuration may name, and those it may not.

A git URL can make git run a program (`ext::`), or ssh take an option for a host; a password in one ends up in logs.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from conveyor.config.files import is_file

GIT_SCHEMES = ("https", "http", "ssh", "git", "file")
WEB_SCHEMES = ("https", "http", "file")
KEY_SCHEMES = ("https", "file")
# [user@]host:path is ssh in short (git-clone(1), "GIT URLS"); the user is asked for here, so that a mistyped scheme
# is not taken for a host.
SCP_LIKE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?![-:])\S+")
GIT_RIGHT = "would be right: https://opendev.org/openstack/nova (or http, ssh, git, file, or user@host:path)"


def looks_like_url(text: str) -> bool:
    """Whether a text means an address rather than a path."""
    return "://" in text or "::" in text or bool(re.match(r"[^/]*@[^/]*:", text))


def git_url(text: str, right: str = GIT_RIGHT) -> str:
    """The URL of a git repository, unchanged; `right` ends the mistake.

    Raises:
        ValueError: git would not take it for a repository, or would do more than fetch it.
    """
    if SCP_LIKE.fullmatch(text):
        return text
    return _checked(text, GIT_SCHEMES, right)


def web_url(text: str, right: str = "would be right: https://repos.example.org/trunk") -> str:
    """A URL that is read over HTTP or from local disk.

    Raises:
        ValueError: it is none.
    """
    return _checked(text, WEB_SCHEMES, right)


def location(text: str, folder: Path) -> str:
    """A URL; a path, absolute or relative to `folder`, becomes a file URL.

    Raises:
        ValueError: it is neither.
    """
    right = "would be right: https://..., file:///..., or a path such as ./packages"
    return web_url(text, right) if looks_like_url(text) else _path(text, folder, right).as_uri()


def key_location(text: str, folder: Path) -> str:
    """Where a public key is: an https or file URL, or the absolute path of a file that exists.

    A key that came over plain HTTP would prove nothing.

    Raises:
        ValueError: it is none of these.
    """
    right = "would be right: https://..., the path of a key file, or none where packages are not signed"
    if looks_like_url(text):
        return _checked(text, KEY_SCHEMES, right)
    path = _path(text, folder, right)
    if not is_file(path):
        raise ValueError(f"there is no file {path}; {right}")
    return str(path)


def _path(text: str, folder: Path, right: str) -> Path:
    if not text or text.startswith("-"):
        raise ValueError(f"{text!r} is no path; {right}")
    return folder / text


def _checked(text: str, schemes: tuple[str, ...], right: str) -> str:
    wrong = _wrong(text, schemes)
    if wrong:
        raise ValueError(f"{wrong}; {right}")
    return text


def _wrong(text: str, schemes: tuple[str, ...]) -> str:
    if text.startswith("-") or not text.isprintable() or " " in text:
        return "no URL: it begins with '-' or holds a space or a control character"
    scheme, separator, _ = text.partition("://")
    if not separator:
        return "no URL: it has no scheme"
    if scheme not in schemes or "::" in scheme:
        return f"scheme {scheme[:20]!r} is not allowed"
    return _wrong_authority(text, scheme)


def _wrong_authority(text: str, scheme: str) -> str:
    try:
        parts = urlsplit(text)
        host, password, _ = parts.hostname, parts.password, parts.port
    except ValueError as error:
        return f"no URL: {error}"
    if scheme == "file":
        return "" if not parts.netloc and len(parts.path) > 1 else "a file URL has three slashes and an absolute path"
    if not host or not re.fullmatch(r"[a-z0-9:][a-z0-9.:_-]*", host):
        return "no URL: its host is no host name"
    if (parts.username or "").startswith("-"):
        return "its user begins with '-'"
    if password is not None or ("@" in parts.netloc and scheme in {"http", "https"}):
        return "holds a user or password, which would end up in logs; leave it to ssh or to git's credential helper"
    return ""
