"""Public keys, as a .sources file holds them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from conveyor.errors import MirrorUnreachable, UserError
from conveyor.formats.deb.keys import armored, public_key

KEY = bytes(range(256))


def test_a_binary_key_is_armored(tmp_path: Path) -> None:
    (tmp_path / "key.gpg").write_bytes(KEY)
    text = public_key(str(tmp_path / "key.gpg"))
    first, empty, *lines, last = text.splitlines()
    assert (first, empty) == ("-----BEGIN PGP PUBLIC KEY BLOCK-----", "")
    assert last == "-----END PGP PUBLIC KEY BLOCK-----"
    assert base64.b64decode("".join(lines)) == KEY
    assert max(map(len, lines)) == 64


def test_an_armored_key_stays_as_it_is_from_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "my key.asc").write_text(f"A comment\n{armored(KEY)}\n")
    assert public_key((tmp_path / "my key.asc").as_uri()) == armored(KEY)


def test_a_file_that_is_gone_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.gpg"):
        public_key(str(tmp_path / "gone.gpg"))


def test_a_server_that_cannot_be_reached_is_none_of_theirs() -> None:
    with pytest.raises(MirrorUnreachable, match=r"127\.0\.0\.1"):
        public_key("https://127.0.0.1:9/key")
