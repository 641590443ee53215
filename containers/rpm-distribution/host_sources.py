"""Find the Debian mirror that the host's own apt uses."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paragraphs import paragraphs


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place that apt takes packages from.

    Attributes:
        uri: where it is.
        suites: the suites taken from there.
        components: the components taken of each suite.
        signed_by: file or fingerprint of the key that it must be signed with; empty for any that apt trusts.
    """

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


def debian_mirror(etc: Path) -> str | None:
    """The URI that serves Debian itself to the host; None if its apt configuration names none.

    Sources of others may name the same suite as Debian does (their own "bookworm"), so the one counts that has the
    host's suite with the component main and is not bound to a key of someone else; and among several, the one that
    has the suite's updates too.

    Args:
        etc: the host's /etc.
    """
    codename = _codename(etc / "os-release")
    serving = [
        source
        for source in _sources(etc / "apt")
        if codename in source.suites and "main" in source.components and _signed_by_debian(source)
    ]
    with_updates = {source.uri for source in _sources(etc / "apt") if f"{codename}-updates" in source.suites}
    for source in sorted(serving, key=lambda source: source.uri not in with_updates):
        return _first_mirror(source.uri)
    return None


def _codename(os_release: Path) -> str:
    """VERSION_CODENAME of os-release(5)."""
    for line in os_release.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return "".join(shlex.split(value))
    return ""


def _signed_by_debian(source: Source) -> bool:
    return not source.signed_by or "debian-archive" in source.signed_by or "BEGIN PGP" in source.signed_by


def _first_mirror(uri: str) -> str:
    """What a mirror list in a local file names first; any other URI as it is."""
    if not uri.startswith("mirror+file:"):
        return uri
    listed = Path(uri.removeprefix("mirror+file:")).read_text(encoding="utf-8").splitlines()
    return next((line.split()[0] for line in listed if line.strip() and not line.startswith("#")), uri)


def _sources(apt: Path) -> Iterator[Source]:
    """All enabled sources of binary packages, in the order that apt reads them (sources.list(5))."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.suffix == ".sources":
            yield from _deb822_sources(text)
        elif file.suffix == ".list":
            yield from _one_line_sources(text)


def _deb822_sources(text: str) -> Iterator[Source]:
    for fields in paragraphs(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false", "0"}:
            continue
        for uri in fields.get("uris", "").split():
            yield Source(
                uri=uri,
                suites=tuple(fields.get("suites", "").split()),
                components=tuple(fields.get("components", "").split()),
                signed_by=fields.get("signed-by", ""),
            )


def _one_line_sources(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        if kind != "deb":
            continue
        options, rest = _options(rest.strip())
        uri, suite, *components = [*rest.split(), "", ""]
        yield Source(
            uri=uri,
            suites=(suite.rstrip("/"),),
            components=tuple(filter(None, components)),
            signed_by=options.get("signed-by", ""),
        )


def _options(rest: str) -> tuple[dict[str, str], str]:
    """The options in brackets that a line may begin with, and what follows them."""
    if not rest.startswith("["):
        return {}, rest
    inside, _, after = rest[1:].partition("]")
    pairs = (option.partition("=") for option in inside.split())
    return {name.lower(): value for name, _, value in pairs}, after.strip()
