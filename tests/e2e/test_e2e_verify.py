"""Verifying published builds: real packages, built a second time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.published import need
from tests.support.site import DEB, RPM, Said, Site

pytestmark = pytest.mark.e2e


def verified(site: Site, *arguments: str) -> tuple[int, dict[str, Any]]:
    said = site.run("verify", *arguments, "--json")
    return said.code, said.json


def built(site: Site) -> None:
    said = site.run("build", "hello")
    assert said.code == 0, said.out + said.err


def unlike(document: dict[str, Any]) -> dict[str, Any]:
    """The files that differ, by name."""
    return {file["filename"]: file for file in document["files"] if file["likeness"] == "differs"}


def flip(path: Path) -> None:
    """One bit of the disk goes bad."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_both_formats_come_out_the_same_and_say_how_they_were_made(site: Site) -> None:
    built(site)
    published, status = site.published, site.run("status", "--json").out
    for number, target, package in (("1", DEB, "dpkg-dev"), ("2", RPM, "conveyor-root")):
        code, document = verified(site, number)
        assert (code, document["verdict"], document["notes"]) == (0, "reproducible", []), document
        assert (document["replaced"], document["error"], unlike(document)) == ([], None, {})
        (snapshot,) = (site.data / "repos" / target).glob("*/*/*/provenance")
        statement = json.loads((snapshot / "hello.intoto.json").read_text())
        subjects = {one["name"] for one in statement["subject"]}
        assert {file["filename"] for file in document["files"] if file["likeness"] == "identical"} == subjects
        dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        assert any(f"/{package}@" in one.get("uri", "") for one in dependencies)
        (commit,) = [one for one in dependencies if one["name"] == "upstream"]
        assert commit["digest"]["gitCommit"] == document["build"]["upstream_sha"]
        assert str(site.folder) not in json.dumps(statement)
        bom = json.loads((snapshot / "hello.cdx.json").read_text())
        assert [component["name"] for component in bom["components"]] == ["hello"]
    assert (site.published, site.run("status", "--json").out) == (published, status)

    # Templates that changed since are not what was built; the commit goes by other names, too.
    site.replace("hello.spec.j2", "Summary: A greeting", "Summary: Another greeting")
    site.commit_packaging()
    code, document = verified(site, "current", "--target", RPM)
    assert (code, document["build"]["id"]) == (0, 2)
    assert any("as the build kept it" in note for note in document["notes"])


def test_a_package_that_holds_the_time_differs_and_is_named(site: Site) -> None:
    site.replace("debian/rules.j2", "\tcp hello.sh", "\tdate +%s%N > $(STAGE)/usr/share/hello/when\n\tcp hello.sh")
    when = "date +%%s%%N > %{buildroot}%{_datadir}/hello/when"
    site.replace("hello.spec.j2", "\n%files", f"{when}\n\n%files")
    built(site)
    for number, suffix in (("1", ".deb"), ("2", ".noarch.rpm")):
        code, document = verified(site, number)
        assert (code, document["verdict"]) == (1, "differs")
        ((name, file),) = unlike(document).items()
        assert name.endswith(suffix)
        assert file["offset"] > 0
        members = [one["name"] for one in file["differences"] if one["part"] == "member"]
        assert [each for each in members if not each.startswith("control:")] == ["/usr/share/hello/when"]
    said = site.run("verify", "1")
    assert said.code == 1
    assert "\n  /usr/share/hello/when\n" in said.out
    assert said.out.endswith("verdict: differs\n")


def test_damage_and_mistakes(rpm_site: Site) -> None:
    site = rpm_site
    built(site)
    (package,) = site.artifacts(".noarch.rpm")
    flip(package)
    code, document = verified(site, "1")
    assert (code, document["verdict"], document["files"]) == (1, "damaged", [])
    assert f"{package.name} has sha256" in document["checks"][0]["detail"]
    flip(package)

    assert told(site.run("verify", "77"), 2) == "there is no build 77"
    assert told(site.run("verify", "HEAD"), 2).startswith("'HEAD' is no build's number")
    assert site.run("build", "hello", "--no-publish").code == 0
    assert told(site.run("verify", "2"), 2).startswith("build 2 cannot be verified")

    site.packages = {"other": site.packages["hello"]}
    (site.folder / "specs/hello").rename(site.folder / "specs/other")
    site.configure()
    assert told(site.run("verify", "1"), 3).startswith("build 1 cannot be rebuilt")


def told(said: Said, code: int) -> str:
    """The first line of an error."""
    assert said.code == code, said.out + said.err
    return said.err.splitlines()[0].removeprefix("conveyor: ")


def test_signed_builds_are_verified_and_a_wrong_signature_is_refused(rpm_site: Site) -> None:
    need("gpg", "gpgv", "rpmsign")
    site = rpm_site
    (fingerprint,) = re.findall(r'key = "(\w{40})"', site.run("key", "create").out)
    (site.folder / "conveyor.toml").write_text(f'[signing]\nkey = "{fingerprint}"\n')
    built(site)
    code, document = verified(site, "1")
    assert (code, document["verdict"], unlike(document)) == (0, "reproducible", {}), document
    assert [check["good"] for check in document["checks"]] == [True, True, True]

    (statement,) = site.data.glob("repos/*/*/*/*/provenance/hello.intoto.json")
    statement.write_text(statement.read_text().replace('"0.1.0"', '"0.2.0"'))
    said = site.run("verify", "1")
    assert said.code == 1
    assert "signature: BAD: its signature is not good: BAD signature" in said.out


def test_damaged_files_are_built_again_and_put_back(rpm_site: Site) -> None:
    site = rpm_site
    built(site)
    (binary,), (source,) = site.artifacts(".noarch.rpm"), site.artifacts(".src.rpm")
    good = {path: path.read_bytes() for path in (binary, source)}
    flip(binary)
    source.unlink()
    assert site.run("scrub").code == 1
    said = site.run("scrub", "--repair", "--json")
    assert said.code == 0, said.out + said.err
    (target,) = said.json["targets"]
    assert [(each["build"], each["repaired"], each["reason"]) for each in target["repairs"]] == [(1, True, None)] * 2
    assert {path: path.read_bytes() for path in good} == good
    assert site.run("scrub").code == 0


def test_a_signed_package_keeps_its_signature_or_is_told_to_be_lost(rpm_site: Site) -> None:
    need("gpg", "gpgv", "rpmsign")
    site = rpm_site
    (fingerprint,) = re.findall(r'key = "(\w{40})"', site.run("key", "create").out)
    (site.folder / "conveyor.toml").write_text(f'[signing]\nkey = "{fingerprint}"\n')
    built(site)
    (package,) = site.artifacts(".noarch.rpm")
    good = package.read_bytes()
    flip(package)
    said = site.run("scrub", "--repair")
    assert said.code == 0, said.out + said.err
    assert f"{package.name}: repaired by build 1" in said.out
    assert package.read_bytes() == good
    package.unlink()
    said = site.run("scrub", "--repair")
    assert said.code == 1
    assert f"{package.name}: not repaired: it comes out otherwise than it was published" in said.out
    assert not package.exists()
