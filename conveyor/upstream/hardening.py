"""What keeps git harmless in the face of hostile repositories, and what a URL may be.

Every git process gets `environment()`: no configuration but ours, no hook, no filter, no prompt, no helper, one
protocol. The mirrors' own `ATTRIBUTES` come before every .gitattributes file of an upstream (gitattributes(5)).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from conveyor.command import minimal_environment
from conveyor.errors import DiskFull, UserError

PROTOCOLS = ("https", "http", "ssh", "git", "file")
URL = re.compile(r"(?P<protocol>[a-z]+)://(?P<rest>[^-\s].*)")
SSH_SHORTHAND = re.compile(r"[\w.]+@[\w.][\w.-]*:(?!:)\S+", re.ASCII)
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
MAX_SLUG = 60

# A file leaves a tree as it is in the tree: no driver, no conversion of line ends or encodings, no export-* trick.
ATTRIBUTES = "* -text !eol !crlf !ident !filter !working-tree-encoding !export-subst !export-ignore !diff !merge\n"

CONFIGURATION = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "credential.helper": "",
    "protocol.ext.allow": "never",
    # A repository of another user is read, never run: git's refusal of "dubious ownership" protects nothing here.
    "safe.directory": "*",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "http.followRedirects": "initial",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    # Commits that a force push dropped may still be queued.
    "gc.pruneExpire": "never",
    "gc.autoDetach": "false",
    "tar.umask": "0022",
    # Trees with entries such as ".." or ".git" are refused. The exceptions are old mistakes that real projects have
    # in their history and that hurt nobody: commits, tags and modes that other tools wrote a little wrong.
    "fetch.fsckObjects": "true",
    **{
        f"fetch.fsck.{mistake}": "ignore"
        for mistake in (
            "badDate",
            "badDateOverflow",
            "badEmail",
            "badFilemode",
            "badName",
            "badTagName",
            "badTimezone",
            "missingEmail",
            "missingNameBeforeEmail",
            "missingSpaceBeforeDate",
            "missingSpaceBeforeEmail",
            "missingTaggerEntry",
            "multipleAuthors",
            "zeroPaddedDate",
            "zeroPaddedFilemode",
        )
    },
}
# Constant: git itself quotes the path that it appends. A local upload-pack does not see CONFIGURATION.
LOCAL_UPLOAD_PACK = "git -c safe.directory=* -c core.hooksPath=/dev/null upload-pack"


def environment(*, protocol: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for a git process, beside those that every command gets.

    Args:
        protocol: the one protocol that it may speak, such as "https"; empty for none.
        extra: further variables.
    """
    variables = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": str(len(CONFIGURATION)),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": protocol or "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15",
        "GIT_SSH_VARIANT": "ssh",
    }
    for number, (key, value) in enumerate(CONFIGURATION.items()):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    # git built with GnuTLS does not look at OpenSSL's variable.
    if certificates := minimal_environment().get("SSL_CERT_FILE"):
        variables["GIT_SSL_CAINFO"] = certificates
    return variables | dict(extra or {})


def protocol_of(url: str) -> str:
    """The protocol that a URL speaks.

    Raises:
        UserError: it is no URL, or of a protocol that Conveyor does not speak.
    """
    if SSH_SHORTHAND.fullmatch(url):
        return "ssh"
    match = URL.fullmatch(url)
    if match is None or match["protocol"] not in PROTOCOLS or not url.isprintable():
        hint = "write file:///path for a folder" if url.startswith("/") else f"known are {', '.join(PROTOCOLS)}"
        raise UserError(f"{shown(url)!r} is no URL of a git repository", hint=hint)
    return match["protocol"]


def host_of(url: str) -> str:
    """The host that a URL leads to; empty for this machine."""
    if SSH_SHORTHAND.fullmatch(url):
        return url.partition("@")[2].partition(":")[0].lower()
    return urlsplit(url).hostname or "" if URL.fullmatch(url) else ""


def rewritten(url: str, rewrites: Mapping[str, str]) -> str:
    """The URL with its longest known prefix replaced, as git's insteadOf does."""
    prefix = max((prefix for prefix in rewrites if url.startswith(prefix)), key=len, default="")
    return rewrites[prefix] + url.removeprefix(prefix) if prefix else url


def folder_name(url: str) -> str:
    """A name for a URL's mirror: readable, and no other URL's."""
    readable = CREDENTIALS.sub("", url).split("://", 1)[-1].removesuffix(".git")
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", readable).strip("-.")[-MAX_SLUG:]
    return f"{slug}-{hashlib.sha256(url.encode()).hexdigest()[:16]}.git"


def shown(url: str) -> str:
    """A URL for people: without a password."""
    return CREDENTIALS.sub("***@", url)


def cleaned(text: str) -> str:
    """Foreign text in one line, without control characters."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def check_disk(folder: Path, lines: Iterable[str]) -> None:
    """See whether git says that it could not write.

    Raises:
        DiskFull: it does.
    """
    if any(os.strerror(errno.ENOSPC) in line for line in lines):
        raise DiskFull(f"the disk of {folder.parent} is full")
