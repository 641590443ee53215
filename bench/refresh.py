"""DLRN's refresh of repositories with nothing new, with its library: FOLDER FILE URL... Runs in DLRN's environment."""

from __future__ import annotations

import configparser
import functools
import json
import logging
import multiprocessing
import sys
import time
from pathlib import Path

from dlrn.config import ConfigOptions
from dlrn.repositories import refreshrepo

SETTINGS = """\
[DEFAULT]
datadir={folder}
scriptsdir={folder}
configdir={folder}
baseurl=file://{folder}
distro=master
source=master
target=bench
smtpserver=
reponame=delorean
"""


def main() -> int:
    """Clone what is not there yet, then refresh all of it as a run of DLRN does, and write down what that took."""
    folder, figures, *urls = sys.argv[1:]
    logging.disable()
    settings = configparser.RawConfigParser()
    settings.read_string(SETTINGS.format(folder=folder))
    work = functools.partial(refresh, Path(folder), ConfigOptions(settings))
    with multiprocessing.Pool() as pool:  # as in dlrn.shell: a process for each processor
        pool.map(work, [url for url in urls if not place(Path(folder), url).exists()])
        started = time.perf_counter()
        list(pool.imap(work, urls))
        seconds = time.perf_counter() - started
    Path(figures).write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
    return 0


def refresh(folder: Path, options: ConfigOptions, url: str) -> None:
    """What it does for each source and each distgit in each run."""
    refreshrepo(url, str(place(folder, url)), options, "master")


def place(folder: Path, url: str) -> Path:
    """Where a repository is cloned to."""
    return folder / url.rpartition("/")[2]
