"""When layers that were made with trunk packages at hand are still right."""

from __future__ import annotations

from pathlib import Path

from conveyor.buildroot.overlay.roots import trunk_hash
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.ports import Trunk

HELD = frozenset({"python3-oslo.i18n", "python3-pbr"})


def binary(name: str, sha256: str) -> Artifact:
    return Artifact(
        filename=f"{name}_1_all.deb",
        sha256=sha256,
        size=1,
        kind=ArtifactKind.BINARY,
        name=name,
        version="1",
        architecture="all",
    )


def trunk(*binaries: Artifact) -> Trunk:
    return Trunk(folder=Path("/repos/debian"), snapshot="ab/cd/abcd", binaries=binaries)


def test_a_trunk_without_what_a_layer_holds_is_as_good_as_none() -> None:
    """Else a target's first published build would have every layer made once more."""
    assert trunk_hash(trunk(binary("python3-nova", "a" * 64)), HELD) == trunk_hash(None, HELD)
    assert trunk_hash(trunk(), HELD) == trunk_hash(None, HELD)


def test_a_new_build_of_what_a_layer_holds_is_seen() -> None:
    old, new = (trunk(binary("python3-pbr", digit * 64)) for digit in "ab")

    assert len({trunk_hash(None, HELD), trunk_hash(old, HELD), trunk_hash(new, HELD)}) == 3


def test_the_order_of_the_trunk_does_not_matter() -> None:
    both = [binary("python3-oslo.i18n", "a" * 64), binary("python3-pbr", "b" * 64)]

    assert trunk_hash(trunk(*both), HELD) == trunk_hash(trunk(*reversed(both)), HELD)
