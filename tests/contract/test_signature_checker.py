"""Signatures of the real signer, checked: good ones, and all that is none."""

from __future__ import annotations

import pytest

from conveyor.errors import SigningFailed
from conveyor.ports import SignatureChecker
from conveyor.repository.signing.checker import KeysChecker
from conveyor.repository.signing.gnupg import KeyHome
from conveyor.repository.signing.signer import GpgSigner
from tests.support.keys import Keys
from tests.support.published import need

CONTENT = b'{"statement": true}\n'


def signer(keys: Keys, kind: str, *, retired: tuple[str, ...] = ()) -> GpgSigner:
    return GpgSigner(KeyHome(folder=keys.home), keys[kind], retired=[keys[one] for one in retired])


def checker(of: GpgSigner) -> SignatureChecker:
    need("gpgv")
    return KeysChecker(lambda: of.public_keys)


def test_what_the_site_signed_is_good_with_earlier_keys_too(keys: Keys) -> None:
    now = checker(signer(keys, "second", retired=("first",)))
    for kind in ("first", "second"):
        assert now.check(CONTENT, signer(keys, kind).sign(CONTENT)) == ""


def test_all_else_is_refused(keys: Keys) -> None:
    first = signer(keys, "first")
    signature = first.sign(CONTENT)
    for content, given in (
        (CONTENT + b" ", signature),
        (b"", signature),
        (CONTENT, b""),
        (CONTENT, b"signed"),
        (CONTENT, signature.replace(b"\n\n", b"\n\nAAAA", 1)),
        (CONTENT, signer(keys, "second").sign(CONTENT)),
        (CONTENT, first.clear_sign(CONTENT)),
    ):
        assert checker(first).check(content, given).startswith("its signature is not good: "), given


def test_a_key_that_is_gone_is_told(keys: Keys) -> None:
    lost = GpgSigner(KeyHome(folder=keys.home), "0" * 40)
    with pytest.raises(SigningFailed, match="there is no key"):
        checker(lost).check(CONTENT, b"")
