"""How the builds of a history are spread over its packages. Standard library only: DLRN's Python runs it too."""

from __future__ import annotations

import random

SEED = 4  # any, but the same for everybody


def package_of_each(builds: int, packages: int) -> list[int]:
    """The number of the package that each build is of, oldest build first.

    By Zipf's law: the package of rank n is built 1/n times as often as the first, at any time, and each at least once.
    So a few busy ones have most of the builds, as in trunks of many upstreams.
    """
    chosen = random.Random(SEED)
    ranks = range(packages)
    drawn = [*ranks, *chosen.choices(ranks, [1 / (rank + 1) for rank in ranks], k=builds - packages)]
    chosen.shuffle(drawn)
    return drawn
