"""A hostile upstream, the whole way from its git repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.attempts import PROBES, got, script_of, tried
from tests.hostile.bait import planted
from tests.support.site import DEB, HELLO, RPM, Site
from tests.support.upstream import git

pytestmark = pytest.mark.e2e

SETUP = """\
import subprocess
subprocess.run(["sh", "probes.sh"], check=False)
"""
# What a PEP 517 frontend would call; it is imported to ask for it.
BACKEND = f"{SETUP}\ndef get_requires_for_build_wheel(config_settings=None):\n    return []\n"
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
MODULES = '[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c "touch% {pwned}"\n'
ATTRIBUTES = "* filter=evil diff=evil merge=evil export-subst ident\n"
RUN = "python3 setup.py; python3 -c 'import backend; backend.get_requires_for_build_wheel()'"


def test_a_hostile_upstream_gets_nothing(site: Site, tmp_path: Path) -> None:
    pwned = tmp_path / "pwned"
    with planted(tmp_path / "host") as bait:
        sha = site.upstream.commit(
            "$(touch pwned)",
            files={
                **HELLO,
                ".gitattributes": ATTRIBUTES.encode(),
                ".gitmodules": MODULES.format(pwned=pwned).encode(),
                "setup.py": SETUP.encode(),
                "backend.py": BACKEND.encode(),
                "pyproject.toml": PYPROJECT.encode(),
                "probes.sh": script_of(PROBES, bait).encode(),
                "debian": b"->/etc",
                "leak": f"->{bait.folder}/secret".encode(),
            },
        )
        for tag in (f"1.0;touch {pwned}".replace(" ", "${IFS}"), f"v1-$(touch${{IFS}}{pwned.name})", "--output=pwned"):
            site.upstream.tag(tag, sha)
        # Filters and the like run where a configuration names them: one of the caller's does here.
        home = tmp_path / "home"
        home.mkdir()
        for key in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.command", "core.fsmonitor", "core.hooksPath"):
            git(site.folder, "config", "--file", str(home / ".gitconfig"), key, f"touch {pwned}")
        site.replace("debian/control.j2", "Standards", "Build-Depends: python3\nStandards")
        site.replace("debian/rules.j2", "binary-indep:\n", f"binary-indep:\n\t{RUN}\n")
        site.replace("hello.spec.j2", "%build\n", f"%build\n{RUN}\n")
        said = site.run("build", "hello", env={"HOME": str(home)}, patience=600)
        assert said.code == 0, said.out + said.err
        for number, target in enumerate((DEB, RPM), start=1):
            log = (site.data / f"builds/{number}/1/log").read_text(errors="replace")
            assert tried(log) == {probe.name for probe in PROBES}, target
            assert log.count("TRIED mount") == 2
            assert set(got(log)) <= {"results-by-link"}
        assert bait.taken == []
        published = [path for path in (site.data / "repos").rglob("*") if path.is_file()]
        assert [path for path in published if bait.marker.encode() in path.read_bytes()] == []
    assert not pwned.exists()
    assert [path for path in site.folder.rglob("*pwned*") if "refs" not in path.parts] == []
    assert site.left_behind == []
