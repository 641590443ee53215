"""The tool that makes upstream repositories out of real releases."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from conveyor.upstream.mirror import GitMirrors
from tests.support.upstream import git

TOOL = Path(__file__).parents[2] / "containers" / "upstreams" / "make.py"
NAME = "oslo.i18n"

pytestmark = pytest.mark.integration


def make(output: Path, *arguments: str, index: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if index is not None:
        environment |= {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": "", "PIP_NO_INDEX": "", "PIP_RETRIES": "0"}
    return subprocess.run(
        [sys.executable, str(TOOL), "--output", str(output), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the repository of one small library."""
    output = tmp_path_factory.mktemp("upstreams")
    completed = make(output, NAME)
    if completed.returncode == 3 and "cannot be reached" in completed.stderr:
        pytest.skip(f"the package index cannot be reached: {completed.stderr.strip()}")
    assert completed.returncode == 0, completed.stderr
    return output


@pytest.fixture
def repository(made: Path) -> Path:
    return made / "openstack" / f"{NAME}.git"


def newest_release(made: Path) -> dict[str, bytes]:
    """Files of the newest download, without its top folder."""
    # They are downloaded oldest first.
    path = max((made / ".downloads").glob("*.tar.gz"), key=lambda path: path.stat().st_mtime_ns)
    with tarfile.open(path) as archive:
        return {
            member.name.partition("/")[2]: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def test_what_is_in_it(repository: Path) -> None:
    git(repository, "fsck", "--strict")
    tags = git(repository, "for-each-ref", "--format=%(objecttype) %(refname:short)", "refs/tags").splitlines()
    assert [tag.split()[0] for tag in tags] == ["tag", "tag"]
    subjects = git(repository, "log", "--format=%s", "master").splitlines()
    assert len(subjects) == len(set(subjects)) > len(tags)
    dates = git(repository, "log", "--format=%ct", "master").split()
    assert dates == sorted(dates, reverse=True)
    assert "Sem-Ver" not in git(repository, "log", "--format=%B", "master")


def test_the_head_is_the_newest_release_some_commits_after_a_tag(repository: Path, tmp_path: Path) -> None:
    mirrors = GitMirrors(tmp_path, rewrites={"https://example.org/": f"file://{repository.parents[1]}/"})
    url = f"https://example.org/openstack/{NAME}.git"
    sha = mirrors.resolve(url, "master")
    history = mirrors.history(url, sha)
    assert history.tag is not None
    assert history.commits_since in {2, 3}
    released = newest_release(repository.parents[1])
    generated = {path for path in released if path not in mirrors.files(url, sha)}
    assert {"PKG-INFO", "AUTHORS", "ChangeLog"} <= generated
    assert all("egg-info" in path for path in generated - {"PKG-INFO", "AUTHORS", "ChangeLog", "RELEASENOTES.rst"})
    ours = {file.path: file.content for file in mirrors.read(url, sha)}
    assert {path for path in ours if ours[path] != released[path]} <= {"setup.cfg"}


def test_a_second_run_needs_no_network(made: Path, repository: Path) -> None:
    before = repository.stat()
    completed = make(made, NAME, index=nowhere())
    assert (completed.returncode, completed.stdout) == (0, f"{NAME}: is there\n")
    assert repository.stat() == before


def test_the_same_releases_give_the_same_shas(made: Path, repository: Path, tmp_path: Path) -> None:
    shutil.copytree(made / ".downloads", tmp_path / ".downloads")
    completed = make(tmp_path, NAME)
    assert completed.returncode == 0, completed.stderr
    again = tmp_path / "openstack" / f"{NAME}.git"
    assert git(again, "show-ref") == git(repository, "show-ref")


def nowhere() -> str:
    """URL of an index that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/simple"


def test_an_index_that_cannot_be_reached(tmp_path: Path) -> None:
    completed = make(tmp_path, "conveyor-has-no-such-upstream", index=nowhere())
    assert completed.returncode == 3
    assert completed.stderr.startswith("error: conveyor-has-no-such-upstream: ")
    assert "Traceback" not in completed.stderr
    assert not (tmp_path / "openstack").exists()


@pytest.mark.parametrize("arguments", [["--releases", "0", "nova"], ["../nova"], ["-x"], []])
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    assert make(tmp_path, *arguments).returncode == 2


def index_of(folder: Path, releases: dict[str, dict[str, bytes]], *, checksum: str | None = None) -> str:
    """An index in a folder that offers source distributions of one name, made of these files."""
    page = folder / "simple" / "demo"
    page.mkdir(parents=True)
    links = []
    for number, (version, files) in enumerate(releases.items()):
        path = page / f"demo-{version}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(f"demo-{version}/{name}")
                member.size, member.mtime = len(content), 1_700_000_000 + number * 86_400
                archive.addfile(member, io.BytesIO(content))
        sha256 = checksum or subprocess.check_output(["sha256sum", path], text=True).split()[0]
        links.append(f'<a href="{path.name}#sha256={sha256}">{path.name}</a>')
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
    return f"file://{folder}/simple"


def test_nothing_of_a_release_runs(tmp_path: Path) -> None:
    program = f"open({str(tmp_path / 'ran')!r}, 'w')\n".encode()
    hostile = {"setup.py": program, "pyproject.toml": b"[build-system]\nbuild-backend='x'\nbackend-path=['.']\n"}
    hostile |= {"x.py": program, "PKG-INFO": b"Author: E<v>e\nAuthor-email: e\n", "../out": b"", ".git/hooks/x": b""}
    releases = {
        "1.0": hostile | {"a b\\\"'\n": b"1", "was-a-file": b""},
        "1.1rc1": {"PKG-INFO": b""},
        "2.0": hostile | {"was-a-file/inside": b"2"},
    }
    completed = make(tmp_path / "out", "demo", index=index_of(tmp_path, releases))
    assert completed.stdout == "demo: made of 1.0, 2.0\n", completed.stderr
    assert not (tmp_path / "ran").exists()
    repository = tmp_path / "out" / "openstack" / "demo.git"
    git(repository, "fsck", "--strict")
    names = git(repository, "ls-tree", "-r", "-z", "--name-only", "master").split("\0")
    assert sorted(filter(None, names)) == ["pyproject.toml", "setup.py", "was-a-file/inside", "x.py"]
    assert git(repository, "log", "-1", "--format=%an <%ae>", "1.0") == "Eve <e>"


def test_newer_releases_are_found_when_asked(tmp_path: Path) -> None:
    files = {"code.py": b"1"}
    index = index_of(tmp_path / "old", {"1.0": files})
    assert make(tmp_path / "out", "demo", index=index).returncode == 0
    newer = index_of(tmp_path / "new", {"1.0": files, "2.0": {"code.py": b"2"}})
    assert make(tmp_path / "out", "demo", index=newer).stdout == "demo: is there\n"
    assert make(tmp_path / "out", "--refresh", "demo", index=newer).stdout == "demo: made of 1.0, 2.0\n"
    assert "newest releases" in make(tmp_path / "out", "--refresh", "demo", index=newer).stdout


def test_a_download_with_another_checksum(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"1.0": {"code.py": b"1"}}, checksum="0" * 64)
    completed = make(tmp_path / "out", "demo", index=index)
    assert completed.returncode == 3
    assert "sha256" in completed.stderr
    assert not list((tmp_path / "out" / ".downloads").iterdir())
