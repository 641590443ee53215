"""What must hold before a build's packages are published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cmp_to_key

from conveyor.errors import VersionWentBackwards


def check_order(version: str, published: Sequence[str], compare: Callable[[str, str], int]) -> None:
    """Refuse a version that package managers would not take for an update.

    Args:
        version: EVR string of what is to be published.
        published: EVR strings of the same package on the same target that are published.
        compare: the format's comparison; see Toolchain.compare.

    Raises:
        VersionWentBackwards: the version sorts below a published one.
    """
    if not published:
        return
    newest = max(published, key=cmp_to_key(compare))
    if compare(version, newest) < 0:
        raise VersionWentBackwards(
            f"version {version} sorts below {newest}, which is already published",
            cause="the commit is older, or the upstream's tags, its branch or the version scheme were changed",
            hint="build an older commit with --no-publish; after a change, tag the upstream with a version above "
            f"{newest} or choose the version scheme that sorts above it",
        )
