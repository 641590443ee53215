"""What people are told of signing: by doctor, by the other commands, and of a key that will not live long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conveyor.cli.main import app
from conveyor.config import SigningSettings
from conveyor.errors import SigningUndecided
from conveyor.model.signing import KeyState, SigningKey
from conveyor.model.target import Format
from conveyor.wiring.signing import findings, key_finding, open_signing, require_signing, unsigned_note
from tests.support.keys import Keys

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BOTH = (Format.DEB, Format.RPM)


def settings_of(key: str | None = None, *, home: Path = Path("/nowhere"), unsigned: bool = False) -> SigningSettings:
    return SigningSettings(key=key, also=(), retired=(), home=home, passphrase_file=None, unsigned=unsigned)


def key_of(state: KeyState = KeyState.GOOD, *, days: int | None = None) -> SigningKey:
    expires = None if days is None else NOW + timedelta(days=days)
    return SigningKey(fingerprint="A" * 40, owner="Conveyor", state=state, made_at=NOW, expires_at=expires)


def test_nothing_said_asks_for_a_decision_before_anything_is_published() -> None:
    (found,) = findings(settings_of(), BOTH)
    assert not found.good
    assert "conveyor key create" in found.remedy
    assert "conveyor key create" in unsigned_note(settings_of())
    assert open_signing(settings_of()) is None
    with pytest.raises(SigningUndecided, match="do not say"):
        require_signing(settings_of())


def test_said_to_be_unsigned_asks_for_nothing() -> None:
    said = settings_of(unsigned=True)
    (found,) = findings(said, BOTH)
    assert (found.good, found.detail, found.remedy) == (True, "nothing is signed, as the settings say", "")
    assert unsigned_note(said) == "the repositories are not signed, as the settings say"
    require_signing(said)


@pytest.mark.parametrize(("days", "warned"), [(None, False), (31, False), (29, True), (0, True)])
def test_a_key_is_told_of_a_month_before_it_expires(days: int | None, warned: bool) -> None:
    found = key_finding(key_of(days=days), NOW, signs=True)
    assert found.good
    assert ("expires soon" in found.remedy) is warned
    assert found.detail.endswith("expires never" if days is None else f"{NOW + timedelta(days=days):%Y-%m-%d}")


@pytest.mark.parametrize("state", [state for state in KeyState if state is not KeyState.GOOD])
def test_a_key_that_cannot_sign_is_bad_unless_it_is_retired(state: KeyState) -> None:
    signs = key_finding(key_of(state), NOW, signs=True)
    assert not signs.good
    assert signs.remedy
    retired = key_finding(key_of(state), NOW, signs=False)
    assert (retired.good, retired.remedy) == (True, "")


def test_doctor_tries_to_sign(keys: Keys) -> None:
    found = list(findings(settings_of(keys["first"], home=keys.home), BOTH))
    assert [each.good for each in found] == [True]
    assert keys["first"] in found[0].detail
    *_, locked = findings(settings_of(keys["locked"], home=keys.home), BOTH)
    assert not locked.good
    assert "passphrase_file" in locked.remedy


def test_doctor_names_what_to_install(keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("conveyor.buildroot.health.search_path", lambda: str(tmp_path))
    (found,) = findings(settings_of(keys["first"], home=keys.home), BOTH)
    assert (found.good, found.remedy) == (False, "apt-get install gpg gpg-agent rpm")
    (found,) = findings(settings_of(keys["first"], home=keys.home), [Format.DEB])
    assert found.remedy == "apt-get install gpg gpg-agent"


class TestCommand:
    def run(self, folder: Path, *words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["--data-dir", str(folder), *words], catch_exceptions=True)
        return done.exit_code, done.output

    def test_a_key_is_made_and_shown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("conveyor.repository.signing.keys.ALGORITHM", "rsa2048")  # quicker to make
        code, said = self.run(tmp_path, "key", "create", "--owner", "Us <us@example.org>")
        assert code == 0, said
        fingerprint = said.partition('key = "')[2][:40]
        monkeypatch.setenv("CONVEYOR_SIGNING_KEY", fingerprint)
        code, said = self.run(tmp_path, "key", "show")
        assert code == 0, said
        assert fingerprint in said
        assert "Us <us@example.org>" in said
        assert f"file://{tmp_path}/repos/<target>/conveyor.asc" in said

    def test_a_key_that_cannot_sign_ends_with_3(
        self, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONVEYOR_SIGNING_HOME", str(keys.home))
        monkeypatch.setenv("CONVEYOR_SIGNING_KEY", keys["expired"])
        code, said = self.run(tmp_path, "key", "show")
        assert (code, "expired" in said) == (3, True)
        monkeypatch.setenv("CONVEYOR_SIGNING_KEY", keys["first"])
        monkeypatch.setenv("CONVEYOR_SIGNING_RETIRED", f'["{keys["expired"]}"]')
        code, said = self.run(tmp_path, "key", "show")
        assert code == 0
        assert "retired" in said
