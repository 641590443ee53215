"""Many repositories behind smart HTTP on this machine, as git-http-backend(1) sets it up: nginx and fcgiwrap."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from conveyor.command import run
from conveyor.errors import ConveyorError

SECONDS = 600
PATIENCE = 10.0
# As many as xargs starts clients.
WORKERS = 8
COMMITS, TAGS, BRANCHES = 30, 25, 4
NGINX = """\
user root;
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_pass unix:{folder}/socket;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {repositories};
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
    }}
}}
"""
IDENTITY = {f"GIT_{role}_{key}": "bench@example.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


def missing() -> str:
    """Why there can be no server; empty where there can."""
    return ", ".join(f"{name} is not installed" for name in ("nginx", "fcgiwrap") if shutil.which(name) is None)


def repositories(folder: Path, count: int) -> Path:
    """A folder with so many repositories, which is made if it is not there: each with commits, branches and tags."""
    ready = folder / f"{count}.git"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        first = _first(folder / f"{name_of(0)}.git")
        for number in range(1, count):
            run(["cp", "-al", str(first), str(folder / f"{name_of(number)}.git")], timeout=SECONDS)
        ready.touch()
    return folder


def name_of(number: int) -> str:
    """What a repository is called."""
    return f"r{number}"


def _first(folder: Path) -> Path:
    folder.mkdir(parents=True)
    person = b"committer Ada <ada@example.org> %d +0000\ndata 2\nx\n"
    commits = (b"commit refs/heads/master\n" + person % (1_700_000_000 + number) for number in range(COMMITS))
    _git(folder, "init", "--quiet", "--bare", "--template=", "--initial-branch=master")
    _git(folder, "fast-import", "--quiet", "--done", content=b"".join(commits) + b"done\n")
    for number in range(TAGS):
        _git(folder, "tag", "--annotate", "--message=x", f"1.{number}.0", f"master~{number}")
    for number in range(BRANCHES):
        _git(folder, "branch", f"stable/{number}", f"master~{number}")
    _git(folder, "gc", "--quiet")
    return folder


def head_of(folder: Path) -> str:
    """The commit that all repositories of a folder have as their newest."""
    return _git(folder / f"{name_of(0)}.git", "rev-parse", "master")


def _git(folder: Path, *arguments: str, content: bytes | None = None) -> str:
    return run(["git", *arguments], timeout=SECONDS, cwd=folder, env=IDENTITY, input_bytes=content).output.strip()


@contextmanager
def serving(repositories_folder: Path, folder: Path) -> Iterator[str]:
    """Serve a folder of repositories over HTTP; gives its URL, with a slash at the end.

    Args:
        repositories_folder: what is served.
        folder: an empty folder for what the server writes.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    backend = Path(run(["git", "--exec-path"], timeout=SECONDS).output.strip()) / "git-http-backend"
    text = NGINX.format(folder=folder, port=port, backend=backend, repositories=repositories_folder)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    gateway = ["fcgiwrap", "-c", str(WORKERS), "-s", f"unix:{folder}/socket"]
    server = ["nginx", "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    with _running(gateway), _running(server):
        _wait_for(port)
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def _running(argv: Sequence[str]) -> Iterator[None]:
    # fcgiwrap starts others of itself, and leaves them when it ends.
    process = subprocess.Popen(argv, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise ConveyorError("the git server does not answer") from error
            time.sleep(0.02)
        else:
            return
