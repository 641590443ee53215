"""Which addresses a configuration may name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conveyor.config import urls


@pytest.mark.parametrize(
    "url",
    [
        "https://opendev.org/openstack/nova",
        "http://[::1]:8080/nova.git",
        "ssh://git@review.example.org:29418/openstack/nova",
        "git://example.org/nova",
        "file:///srv/mirrors/nova",
        "git@example.org:openstack/nova.git",
        "git@example.org:~me/nova",
    ],
)
def test_git_url(url: str) -> None:
    assert urls.git_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nova",
        "../nova",
        "/srv/nova",
        "ext::sh -c id",
        "ext::id",
        "fd::3",
        "ext::https://example.org/x",
        "-u./payload",
        "--upload-pack=id://x",
        "ftp://example.org/nova",
        "HTTPS://example.org/nova",
        "https://",
        "https:///nova",
        "https://user:password@example.org/nova",
        "https://token@example.org/nova",
        "ssh://git:password@example.org/nova",
        "ssh://-oProxyCommand=id/nova",
        "ssh://-oProxyCommand=id@example.org/nova",
        "-oProxyCommand=id@example.org:nova",
        "git@-oProxyCommand=id:nova",
        "git@example.org:-nova",
        "git@example.org::nova",
        "git@example.org:a b",
        "https://example.org/a b",
        "https://example.org/a\nb",
        "https://example.org/\x1b[31m",
        "https://example.org:port/nova",
        "https://[::1/nova",
        "file://host/nova",
        "file://",
        "file:///",
    ],
)
def test_no_git_url(url: str) -> None:
    with pytest.raises(ValueError, match=re.escape("would be right: https://opendev.org/openstack/nova")):
        urls.git_url(url)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="holds a user or password") as raised:
        urls.git_url("https://me:hunter2@example.org/nova")
    assert "hunter2" not in str(raised.value)


def test_a_location_is_a_url_or_a_path() -> None:
    assert urls.location("./.cache/rpm packages", Path("/srv/site")) == "file:///srv/site/.cache/rpm%20packages"
    assert urls.location("/srv/other", Path("/srv/site")) == "file:///srv/other"
    assert urls.location("https://example.org/os/?a=b", Path("/srv/site")) == "https://example.org/os/?a=b"


@pytest.mark.parametrize("text", ["", "-x", "ftp://example.org/os/", "ext::id"])
def test_no_location(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape("would be right: https://..., file:///..., or a path")):
        urls.location(text, Path("/srv/site"))


def test_a_key_is_there_and_came_safely(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    assert urls.key_location("key", tmp_path) == str(tmp_path / "key")
    assert urls.key_location("https://example.org/key", tmp_path) == "https://example.org/key"
    for text in ("other", "http://example.org/key", "", "k" * 300):
        with pytest.raises(ValueError, match="would be right"):
            urls.key_location(text, tmp_path)
