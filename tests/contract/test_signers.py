"""What every Signer does; then what gpg has to: say why it does not sign, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor import command
from conveyor.command import process_started
from conveyor.errors import SigningFailed, UserError
from conveyor.model.signing import KeyState
from conveyor.ports import Signer
from conveyor.repository.signing import gnupg
from conveyor.repository.signing.gnupg import KeyHome, session
from conveyor.repository.signing.keys import create, find
from conveyor.repository.signing.signer import GpgSigner
from tests.fakes.signer import FakeSigner
from tests.support.keys import Keys, gpgv

TEXT = b"Origin: Conveyor\n- a dash\n\nUmlaut: \xc3\xbc\n"


def gpg_signer(keys: Keys, key: str, **more: object) -> GpgSigner:
    home = KeyHome(folder=keys.home, passphrase_file=more.pop("passphrase_file", None))  # type: ignore[arg-type]
    return GpgSigner(home, keys.fingerprints.get(key, key), **more)  # type: ignore[arg-type]


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the signer's temporary homes are: a folder of its own, its name as short as a socket needs."""
    folder = Path(tempfile.mkdtemp(dir=gnupg.SCRATCH))
    monkeypatch.setattr(gnupg, "SCRATCH", folder)
    yield folder
    shutil.rmtree(folder)


def agents(scratch: Path) -> list[int]:
    """The agents that live, of homes in a folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"gpg-agent" in line and bytes(scratch) in line and process_started(int(folder.name)) is not None:
            found.append(int(folder.name))
    return found


def gone_within(scratch: Path, *, seconds: float) -> None:
    """Wait until no agent is left: the kernel and the agent itself take a moment."""
    deadline = time.monotonic() + seconds
    while agents(scratch):
        assert time.monotonic() < deadline, "an agent was left behind"
        time.sleep(0.02)


@pytest.fixture(params=["fake", "gpg"])
def signer(request: pytest.FixtureRequest, keys: Keys) -> Signer:
    return FakeSigner() if request.param == "fake" else gpg_signer(keys, "first")


class TestEverySigner:
    def test_a_detached_signature_is_armoured_and_does_not_hold_the_text(self, signer: Signer) -> None:
        signature = signer.sign(TEXT)
        assert signature.startswith(b"-----BEGIN PGP SIGNATURE-----\n")
        assert b"Conveyor" not in signature

    def test_other_text_gets_another_signature(self, signer: Signer) -> None:
        assert signer.sign(TEXT) != signer.sign(TEXT + b"more\n")

    def test_a_clear_signed_text_holds_the_text(self, signer: Signer) -> None:
        assert b"\nOrigin: Conveyor\n" in signer.clear_sign(TEXT)

    def test_public_keys_are_one_armoured_block(self, signer: Signer) -> None:
        text = signer.public_keys.decode("ascii")
        assert text.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
        assert text.count("BEGIN") == 1
        assert "PRIVATE" not in text


class TestGpg:
    def test_signatures_are_good_and_by_sha512(self, keys: Keys, tmp_path: Path) -> None:
        signer = gpg_signer(keys, "first")
        plain, detached, inline = (tmp_path / name for name in ("plain", "plain.asc", "inline"))
        plain.write_bytes(TEXT)
        detached.write_bytes(signer.sign(TEXT))
        inline.write_bytes(signer.clear_sign(TEXT))
        for signed in ((detached, plain), (inline,)):
            done = gpgv(signer.public_keys, tmp_path, *signed)
            assert done.returncode == 0, done.stderr
            assert "Good signature" in done.stderr
        assert b"Hash: SHA512" in inline.read_bytes()
        plain.write_bytes(TEXT.replace(b"Conveyor", b"Somebody"))
        assert "BAD signature" in gpgv(signer.public_keys, tmp_path, detached, plain).stderr

    def test_a_key_with_a_passphrase_signs_with_its_file(self, keys: Keys, tmp_path: Path) -> None:
        assert gpg_signer(keys, "locked", passphrase_file=keys.passphrase_file(tmp_path)).sign(TEXT)

    def test_a_key_without_one_signs_beside_a_passphrase_file(self, keys: Keys, tmp_path: Path) -> None:
        assert gpg_signer(keys, "first", passphrase_file=keys.passphrase_file(tmp_path)).sign(TEXT)

    @pytest.mark.parametrize(("key", "also"), [("first", "second"), ("second", "first")])
    def test_two_keys_sign_while_clients_change_the_older_one_last(
        self, keys: Keys, tmp_path: Path, key: str, also: str
    ) -> None:
        signer = gpg_signer(keys, key, also=[keys[also]])
        plain, detached, inline = (tmp_path / name for name in ("plain", "plain.asc", "inline"))
        plain.write_bytes(TEXT)
        detached.write_bytes(signer.sign(TEXT))
        inline.write_bytes(signer.clear_sign(TEXT))
        both = gpgv(signer.public_keys, tmp_path, detached, plain).stderr
        assert both.count("Good signature") == 2
        assert both.index("second") < both.index("first")
        assert gpgv(signer.public_keys, tmp_path, inline).stderr.count("Good signature") == 2

    def test_retired_keys_are_published_and_sign_nothing(self, keys: Keys, tmp_path: Path) -> None:
        signer = gpg_signer(keys, "first", retired=[keys["second"], keys["expired"]])
        (tmp_path / "inline").write_bytes(signer.clear_sign(TEXT))
        done = gpgv(signer.public_keys, tmp_path, tmp_path / "inline")
        assert done.stderr.count("Good signature") == 1
        assert [key.fingerprint for key in signer.found()] == [keys["first"], keys["second"], keys["expired"]]

    @pytest.mark.parametrize(
        ("key", "said"),
        [
            ("locked", "the passphrase of key .* is missing or wrong"),
            ("expired", r"is expired since 2020-12-31: expired <expired@example\.org>"),
            ("revoked", "is revoked"),
            ("public", "is of no use without its private half"),
            ("0" * 40, "there is no key 0000"),
        ],
    )
    def test_a_key_that_cannot_sign_says_why(self, keys: Keys, key: str, said: str) -> None:
        signer = gpg_signer(keys, key)
        for sign in (signer.sign, signer.clear_sign):
            with pytest.raises(SigningFailed, match=said) as caught:
                sign(TEXT)
            assert caught.value.hint

    def test_of_two_keys_both_must_sign(self, keys: Keys) -> None:
        with pytest.raises(SigningFailed, match="is expired"):
            gpg_signer(keys, "first", also=[keys["expired"]]).sign(TEXT)

    def test_a_wrong_passphrase_is_told(self, keys: Keys, tmp_path: Path) -> None:
        wrong = keys.passphrase_file(tmp_path, "wrong")
        with pytest.raises(SigningFailed, match=r"missing or wrong: its passphrase file is .*a pass phrase"):
            gpg_signer(keys, "locked", passphrase_file=wrong).sign(TEXT)

    def test_missing_homes_and_passphrase_files_are_told(self, keys: Keys, tmp_path: Path) -> None:
        with pytest.raises(SigningFailed, match=r"there is no folder .*nowhere"):
            GpgSigner(KeyHome(folder=tmp_path / "nowhere"), keys["first"]).sign(TEXT)
        with pytest.raises(SigningFailed, match=r"passphrase file .*nothing cannot be read"):
            gpg_signer(keys, "locked", passphrase_file=tmp_path / "nothing").sign(TEXT)
        with pytest.raises(SigningFailed, match="there is no key"):
            GpgSigner(KeyHome(folder=tmp_path), keys["first"]).sign(TEXT)

    def test_a_retired_key_that_is_gone_is_told(self, keys: Keys) -> None:
        with pytest.raises(SigningFailed, match="there is no key 1111"):
            _ = gpg_signer(keys, "first", retired=["1" * 40]).public_keys

    def test_without_gpg_it_says_what_to_install(
        self,
        keys: Keys,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(command, "SYSTEM_FOLDERS", ())
        with pytest.raises(SigningFailed, match="not installed") as caught:
            gpg_signer(keys, "first").sign(TEXT)
        assert "apt-get install gpg" in caught.value.hint

    def test_nothing_is_left_behind(self, keys: Keys, scratch: Path) -> None:
        before = sorted(path.relative_to(keys.home) for path in keys.home.rglob("*"))
        gpg_signer(keys, "first").sign(TEXT)
        with pytest.raises(SigningFailed):
            gpg_signer(keys, "locked").sign(TEXT)
        gone_within(scratch, seconds=2)
        assert sorted(path.relative_to(keys.home) for path in keys.home.rglob("*")) == before
        assert list(scratch.iterdir()) == []

    def test_even_a_killed_one_leaves_no_agent(self, keys: Keys, scratch: Path) -> None:
        child = os.fork()
        if child == 0:  # it signs, and dies before it can clean up
            with session(KeyHome(folder=keys.home)) as opened:
                opened.gpg(
                    "--local-user", keys["first"], "--output", str(opened.folder / "x"), "--clear-sign", content=b""
                )
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert len(list(scratch.iterdir())) == 1
        gone_within(scratch, seconds=20)
        gpg_signer(keys, "first").sign(TEXT)
        assert list(scratch.iterdir()) == []

    @pytest.mark.parametrize("by", ["the next that signs", "the next start"])
    def test_what_a_killed_one_left_goes(self, keys: Keys, scratch: Path, by: str) -> None:
        left = scratch / f"{gnupg.PREFIX}left"
        left.mkdir()
        (left / gnupg.PRIVATE_KEYS).symlink_to(keys.home / gnupg.PRIVATE_KEYS)
        if by == "the next start":
            gnupg.sweep()
        else:
            gpg_signer(keys, "first").sign(TEXT)
        assert list(scratch.iterdir()) == []
        assert any((keys.home / gnupg.PRIVATE_KEYS).iterdir())

    def test_the_options_of_the_home_do_not_count(self, keys: Keys, tmp_path: Path) -> None:
        home = tmp_path / "home"
        shutil.copytree(keys.home, home, ignore=shutil.ignore_patterns("S.*"))
        (home / "gpg.conf").write_text("digest-algo SHA1\ncomment surprise\n")
        signed = GpgSigner(KeyHome(folder=home), keys["first"]).clear_sign(TEXT)
        assert b"Hash: SHA512" in signed
        assert b"surprise" not in signed


class TestKeysThatAreMade:
    def test_it_signs_and_only_its_owner_can_read_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("conveyor.repository.signing.keys.ALGORITHM", "rsa2048")  # quicker to make
        home = tmp_path / "gnupg"
        fingerprint = create(home, "Conveyor <conveyor@example.org>", "2y")
        assert all(path.stat().st_mode & 0o077 == 0 for path in (home, *home.rglob("*")))
        assert [path.name for path in tmp_path.iterdir()] == ["gnupg"]
        with session(KeyHome(folder=home)) as opened:
            key = find(opened, fingerprint)
        assert key is not None
        assert (key.owner, key.state) == ("Conveyor <conveyor@example.org>", KeyState.GOOD)
        assert key.expires_at is not None
        assert GpgSigner(KeyHome(folder=home), fingerprint).sign(TEXT)

    def test_keys_that_are_there_stay(self, keys: Keys) -> None:
        with pytest.raises(UserError, match="there are keys in"):
            create(keys.home, "Conveyor", "never")

    @pytest.mark.parametrize("owner", ["", "a\nb", "a <b>", "<a@b> c"])
    def test_a_strange_owner_is_refused(self, tmp_path: Path, owner: str) -> None:
        with pytest.raises(UserError, match="cannot be the name"):
            create(tmp_path / "gnupg", owner, "never")

    def test_a_strange_expiry_is_refused_and_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(SigningFailed, match="no key could be made"):
            create(tmp_path / "gnupg", "Conveyor", "whenever")
        assert list(tmp_path.iterdir()) == []
