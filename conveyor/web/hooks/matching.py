"""Which packages a push is about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from conveyor.model.hooks import Push
from conveyor.model.package import Package, PackagingRepository

_SCP_LIKE = re.compile(r"(?:[^@/]+@)?([^:/]+):(?!//)(.+)")
_WEB_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a push means.

    Attributes:
        packages: names of those to poll, sorted.
        others: why other packages with this repository are not polled, one line for each.
    """

    packages: tuple[str, ...]
    others: tuple[str, ...]


def meant_by(push: Push, packages: Mapping[str, Package]) -> Meant:
    """The packages that follow what was pushed."""
    places = {place for url in push.urls if (place := place_of(url))}
    found: set[str] = set()
    others: dict[str, str] = {}
    for name, package in packages.items():
        for url, branch in _followed(package):
            if place_of(url) not in places:
                continue
            if _follows(branch, push.ref):
                found.add(name)
            else:
                others[name] = f"{name} follows {branch}, not {push.ref.removeprefix('refs/heads/')[:100]}"
    return Meant(packages=tuple(sorted(found)), others=tuple(others[name] for name in sorted(others.keys() - found)))


def place_of(url: str) -> str:
    """What the URLs of a repository have in common, whatever the way to it: host and path. Empty where it is none."""
    short = _SCP_LIKE.fullmatch(url) if "://" not in url else None
    try:
        parts = urlsplit(f"ssh://{short[1]}/{short[2]}" if short else url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    path = unquote(parts.path).strip("/").removesuffix(".git").rstrip("/")
    if not path or not (host or parts.scheme == "file"):
        return ""
    # Another port of the web is another forge; that of ssh says nothing.
    is_other = parts.scheme in _WEB_PORTS and port not in {None, _WEB_PORTS[parts.scheme]}
    return f"{host}:{port}/{path}" if is_other else f"{host}/{path}"


def _followed(package: Package) -> Iterator[tuple[str, str]]:
    yield package.upstream, package.branch
    if isinstance(package.packaging, PackagingRepository):
        yield package.packaging.url, package.packaging.branch


def _follows(branch: str, ref: str) -> bool:
    """Whether a push to a ref concerns who follows a branch. Tags decide on versions; what is not told may."""
    return not ref or ref.startswith("refs/tags/") or ref == f"refs/heads/{branch}"
