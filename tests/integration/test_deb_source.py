"""make-source.sh: what a .dsc holds, whichever way it is made."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from conveyor.formats.deb import toolchain

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("dpkg-source") is None, reason="dpkg-source is not on this machine"),
]

SCRIPT = Path(toolchain.__file__).with_name("make-source.sh")
CONTROL = """\
Source: greeting
Maintainer: Packagers <packagers@example.org>
Standards-Version: 4.7.2

Package: greeting
Architecture: all
Description: a greeting
"""
CHANGELOG = """\
greeting (1:1.0-2) trunk; urgency=medium

  * Automated build.

 -- Packagers <packagers@example.org>  Mon, 01 Jan 2024 12:00:00 +0000
"""
PATCH = """\
--- a/hello
+++ b/hello
@@ -1 +1 @@
-hello
+good morning
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the script finds: the upstream archive, with a debian/ of its own, and the packaging."""
    tree = tmp_path / "greeting-1.0"
    for path, text in {"hello": "hello\n", "debian/theirs": "theirs\n"}.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    with tarfile.open(tmp_path / "greeting_1.0.orig.tar.gz", "w:gz") as archive:
        archive.add(tree, tree.name)
    shutil.rmtree(tree)
    debian = tmp_path / "packaging/debian"
    rules = "#!/usr/bin/make -f\n"
    files = {"control": CONTROL, "changelog": CHANGELOG, "rules": rules, "source/format": "3.0 (quilt)\n"}
    for path, text in files.items():
        (debian / path).parent.mkdir(parents=True, exist_ok=True)
        (debian / path).write_text(text)
    (debian / "rules").chmod(0o755)
    (tmp_path / "results").mkdir()
    return tmp_path


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), "greeting", "1.0", "greeting-1.0"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "RESULTS": str(folder / "results")},
        capture_output=True,
        text=True,
        check=False,
    )


def unpacked(folder: Path) -> dict[str, str]:
    """Paths and contents of the tree that a build finds, without quilt's notes."""
    subprocess.run(
        ["dpkg-source", "--no-check", "--extract", "greeting_1.0-2.dsc", "tree"],
        cwd=folder / "results",
        check=True,
        capture_output=True,
    )
    tree = folder / "results/tree"
    shutil.rmtree(tree / ".pc", ignore_errors=True)
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}


class TestMakeSource:
    def test_the_tree_is_upstreams_with_our_debian(self, folder: Path) -> None:
        assert make(folder).returncode == 0

        tree = unpacked(folder)
        names = ["debian/changelog", "debian/control", "debian/rules", "debian/source/format", "hello"]
        assert sorted(tree) == names
        assert tree["debian/control"] == CONTROL
        assert (folder / "results/tree/debian/rules").stat().st_mode & 0o100

    def test_the_same_packaging_gives_the_same_bytes(self, folder: Path) -> None:
        made = folder / "results/greeting_1.0-2.debian.tar.xz"
        assert make(folder).returncode == 0
        before = made.read_bytes()
        shutil.move(folder / "results/greeting_1.0.orig.tar.gz", folder)
        for path in (folder / "packaging").rglob("*"):
            path.touch()

        assert make(folder).returncode == 0
        assert made.read_bytes() == before
        with tarfile.open(made) as archive:
            assert {(member.uid, member.gid, member.mtime) for member in archive} == {(0, 0, 1704110400)}

    def test_patches_are_applied(self, folder: Path) -> None:
        patches = folder / "packaging/debian/patches"
        patches.mkdir()
        (patches / "series").write_text("morning.patch\n")
        (patches / "morning.patch").write_text(PATCH)

        assert make(folder).returncode == 0
        assert unpacked(folder)["hello"] == "good morning\n"

    def test_a_patch_that_does_not_apply_fails_here(self, folder: Path) -> None:
        patches = folder / "packaging/debian/patches"
        patches.mkdir()
        (patches / "series").write_text("morning.patch\n")
        (patches / "morning.patch").write_text(PATCH.replace("-hello", "-good evening"))

        finished = make(folder)
        assert finished.returncode != 0
        assert "1 out of 1 hunk FAILED" in finished.stdout + finished.stderr

    @pytest.mark.parametrize(
        ("file", "text", "told"),
        [
            ("changelog", CHANGELOG.replace("1.0-2", "1.1-2"), "no upstream tarball found"),
            ("changelog", "what is this?\n", "dpkg-source: error"),
            ("control", "Maintainer: nobody\n", "dpkg-source: error"),
            ("source/format", "4.0\n", "dpkg-source: error"),
        ],
    )
    def test_dpkg_source_tells_what_is_wrong(self, folder: Path, file: str, text: str, told: str) -> None:
        (folder / "packaging/debian" / file).write_text(text)

        finished = make(folder)
        assert finished.returncode != 0
        assert told in finished.stdout + finished.stderr
