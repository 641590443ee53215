"""PEP 440 versions in the notation of a package format, so that the format's own comparison gives PEP 440's order.

Both rpm and dpkg compare version strings in runs of digits, as numbers, and runs of letters, as text. Both know "~",
which sorts below the end of the string. What sorts above the end and still below the next component is "^" for rpm,
"+" for dpkg; here it is called `later`. With that:

| PEP 440 | notation | sorts there because |
|---|---|---|
| 1.2.3.dev4 | 1.2.3~~dev4 | "~~" is below "~" and a letter |
| 1.2.3a1, b1, rc1 | 1.2.3~a1, ~b1, ~rc1 | "~" is below the end |
| 1.2.3rc1.dev4 | 1.2.3~rc1~dev4 | the same, within rc1 |
| 1.2.3 | 1.2.3 | |
| 1.2.3+local | 1.2.3^~local | above the end, but below "^0" |
| 1.2.3.post5.dev4 | 1.2.3^5~dev4 | |
| 1.2.3.post5 | 1.2.3^5 | above the end, below "." and a digit |
| 1.2.3.post5+local | 1.2.3^5.local | nothing but a local part can follow post or dev |
| 1!1.2.3 | epoch 1 | |

Equal versions have one notation: trailing zeros of the release are dropped, then zeros fill it up to three
components (1, 1.0 and 1.0.0.0 all become 1.0.0).

PEP 440 compares the local part by segments: a number is above any text, and text is compared character by character,
digits below letters ("g12" < "g1a", where rpm and dpkg would compare 12 with 1). So in text a digit is written after an
"X", which sorts below every (lower case) letter; the end of a text that another segment follows is written "S", which
sorts below "X": ubuntu1.2 becomes ubuntuX1S.2. Without the capital letters it reads as upstream wrote it. On request
(`plain_sha`) a commit's abbreviated sha as git-describe(1) writes it, "g" and at least seven digits, stands as it is:
our own versions have one behind the number of commits that orders them, and people search for it.

What is no PEP 440 version loses what stands before its first digit, and "." takes the place of what neither format
allows: 2024-01-05 becomes 2024.01.05, r17 becomes 17. How these compare is up to the format.

Sources: PEP 440 "Summary of permitted suffixes and relative ordering" and "Local version identifiers"; rpm-version(7)
of rpm.org; Debian Policy 5.6.12; Fedora Packaging Guidelines, "Versioning", for "~" and "^".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.version import Version

from conveyor.errors import VersionInvalid

COMPONENTS = 3
GIT_SHA = re.compile(r"g[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """What differs between formats.

    Attributes:
        later: sorts above the end of the string, below "." and any further component.
        number: stands before a numeric segment of the local part, so that it sorts above any text.
        highest_epoch: the highest epoch that the format's tools accept.
    """

    later: str
    number: str
    highest_epoch: int


def translate(upstream: str, notation: Notation, *, plain_sha: bool = False) -> tuple[int, str]:
    """Epoch and version, in the format's notation, of an upstream's version, PEP 440 or not.

    Args:
        upstream: the version.
        notation: the format's.
        plain_sha: leave a commit's abbreviated sha as it is, which gives up the order of two that differ in it alone.

    Raises:
        VersionInvalid: there is no digit in it, or its epoch is higher than the format's tools accept.
    """
    try:
        version = Version(upstream)
    except ValueError:  # InvalidVersion, and numbers longer than Python reads
        return 0, _nearest(upstream)
    if version.epoch > notation.highest_epoch:
        raise VersionInvalid(
            f"the epoch of version {upstream!r} is too high", cause=f"the highest is {notation.highest_epoch}"
        )
    return version.epoch, spell(version, notation, plain_sha=plain_sha)


def spell(version: Version, notation: Notation, *, components: int = COMPONENTS, plain_sha: bool = False) -> str:
    """The version without its epoch, in the format's notation.

    Args:
        version: the version.
        notation: the format's.
        components: how many components of the release there are at least.
        plain_sha: as for `translate`.
    """
    return "".join(
        (
            _release(version, components),
            _pre(version, notation),
            _local(version, notation, plain_sha=plain_sha),
        )
    )


def numbered(packaging_release: int, scheme_release: str | None, rebuild: int) -> str:
    """The release before a distribution's mark: the count of the packaging's changes, or the scheme's release.

    From the packaging's second change on the count follows the scheme's, so that a packaging-only change raises it. The
    number of a rebuild follows the count: 1, 1.1, 1.2, 2.
    """
    count = f"{packaging_release}.{rebuild}" if rebuild else str(packaging_release)
    if scheme_release is None:
        return count
    return scheme_release if count == "1" else f"{scheme_release}.{count}"


def _nearest(upstream: str) -> str:
    nearest = re.sub(r"[^A-Za-z0-9]+", ".", re.sub(r"^[^0-9]+", "", upstream)).strip(".")
    if not nearest:
        raise VersionInvalid(
            f"{upstream!r} is no version", cause="it has no digit", hint="Tag the upstream with a PEP 440 version."
        )
    return nearest


def _release(version: Version, components: int) -> str:
    significant = max((position for position, number in enumerate(version.release, 1) if number), default=1)
    kept = version.release[:significant]
    return ".".join(map(str, kept + (0,) * (components - len(kept))))


def _pre(version: Version, notation: Notation) -> str:
    pre = "~{}{}".format(*version.pre) if version.pre else ""
    post = "" if version.post is None else f"{notation.later}{version.post}"
    if version.dev is None:
        return pre + post
    # "~dev" alone would stand between "~b1" and "~rc1".
    return f"{pre}{post}~dev{version.dev}" if pre or post else f"~~dev{version.dev}"


def _local(version: Version, notation: Notation, *, plain_sha: bool) -> str:
    if version.local is None:
        return ""
    alone = version.post is None and version.dev is None
    spelled = f"{notation.later}~" if alone else "."
    segments = version.local.split(".")
    for position, segment in enumerate(segments, 1):
        last = position == len(segments)
        if segment.isdecimal():
            spelled += f"{notation.number}{segment}" + ("" if last else ".")
        else:
            plain = plain_sha and GIT_SHA.fullmatch(segment)
            spelled += (segment if plain else _text(segment)) + ("" if last else "S.")
    return spelled


def _text(segment: str) -> str:
    return "".join(f"X{character}" if character.isdecimal() else character for character in segment)
