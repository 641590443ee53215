"""`bench/soak`: a real daemon for an hour, with pushes arriving; what its processes hold over time.

Each push is a commit of one of some small packages, built by the overlay builder for the local RPM distribution and
published. At the end the newest push of every package must be in `current`, and the figures of the last quarter of the
time stand beside those of the second one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.daemonsite import DaemonSite
from tests.support.site import RPM

SAMPLED = 5.0  # seconds between two looks at the processes
SETTLED = 600.0  # seconds that the last builds may take
COLUMNS = 60
BARS = " ▁▂▃▄▅▆▇█"
PAGE = os.sysconf("SC_PAGE_SIZE")
OURS = b"conveyor."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the daemon's own processes held at one moment; what builds start is none of them.

    Attributes:
        at: seconds since the start.
        memory: MiB that are resident.
        files: open file descriptors.
        processes: how many processes.
    """

    at: float
    memory: float
    files: int
    processes: int


def main(argv: Sequence[str]) -> int:
    """Run it, print the figures; 1 where a push was lost or the daemon ended by itself."""
    options = _options(argv)
    folder = Path(tempfile.mkdtemp(prefix="conveyor-soak-"))
    site = DaemonSite(folder=folder, names=tuple(f"soak{number}" for number in range(options.packages)))
    try:
        site.prepare()
        samples = _run(site, options.minutes * 60, options.every)
        lost = site.missing(RPM)
        print(f"{site.pushes} pushes of {len(site.names)} packages in {samples[-1].at / 60:.0f} minutes")
        print(f"not in `current` at the end: {', '.join(lost) or 'none'}\n")
        _print(samples)
        if options.samples is not None:
            options.samples.write_text(json.dumps([asdict(sample) for sample in samples]), encoding="utf-8")
    finally:
        if options.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if lost else 0


def _run(site: DaemonSite, seconds: float, every: float) -> list[Sample]:
    """Push and look for so long, then wait for what is being built."""
    samples: list[Sample] = []
    chosen = random.Random(1)
    with site.daemon() as daemon:
        started = pushed = time.monotonic()
        while (now := time.monotonic()) < started + seconds or (
            site.missing(RPM) and now < started + seconds + SETTLED
        ):
            if daemon.poll() is not None:
                print(f"the daemon ended with {daemon.returncode}", file=sys.stderr)
                break
            samples.append(_sample(daemon.pid, now - started))
            if now < started + seconds and now >= pushed + every:
                pushed = now
                site.push(chosen.choice(site.names))
            time.sleep(min(SAMPLED, every))
    return samples


def _print(samples: Sequence[Sample]) -> None:
    for title, values in (
        ("MiB", [one.memory for one in samples]),
        ("open files", [float(one.files) for one in samples]),
        ("processes", [float(one.processes) for one in samples]),
    ):
        quarter = max(1, len(values) // 4)
        early, late = statistics.median(values[quarter : 2 * quarter] or values), statistics.median(values[-quarter:])
        print(f"{title:>10} {_graph(values)} second quarter {early:.0f}, last {late:.0f}, most {max(values):.0f}")


def _graph(values: Sequence[float]) -> str:
    """The values over time, from 0 up, as one line of bars: of each column the median."""
    width = max(1, len(values) // COLUMNS)
    columns = [statistics.median(values[start : start + width]) for start in range(0, len(values), width)]
    most = max(columns) or 1.0
    return "".join(BARS[round(value / most * (len(BARS) - 1))] for value in columns)


def _sample(daemon: int, at: float) -> Sample:
    held = [one for pid in _family(daemon) if (one := _held(pid)) is not None]
    return Sample(
        at=at, memory=sum(memory for memory, _ in held), files=sum(files for _, files in held), processes=len(held)
    )


def _family(pid: int) -> Iterator[int]:
    """A process and its children."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, task.read_text(encoding="ascii").split())
        except OSError:
            continue


def _held(pid: int) -> tuple[float, int] | None:
    """MiB resident and open files of a process of ours; None for any other, and for one that has just ended."""
    process = Path(f"/proc/{pid}")
    try:
        if OURS not in (process / "cmdline").read_bytes():
            return None
        pages = int((process / "statm").read_text(encoding="ascii").split()[1])
        return pages * PAGE / 2**20, len(os.listdir(process / "fd"))  # noqa: PTH208 - only their number matters
    except (OSError, IndexError):
        return None


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/soak", description="Run a real daemon, with pushes arriving.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long pushes arrive (default 60)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two pushes (default 10)")
    parser.add_argument("--packages", type=int, default=20, help="how many packages (default 20)")
    parser.add_argument("--samples", type=Path, help="write what was seen into this file, as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the data and the log")
    return parser.parse_args(argv)
