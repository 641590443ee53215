"""What builds published builds again, put together: the verifier, and the repair of damaged files."""

from __future__ import annotations

from dataclasses import replace

from conveyor.buildroot import diffoscope
from conveyor.model.target import BuilderKind
from conveyor.pipeline.keeping.repair import Repair
from conveyor.pipeline.verifying.rebuild import Rebuilding
from conveyor.pipeline.verifying.verify import Verifier
from conveyor.repository.signing.checker import KeysChecker
from conveyor.wiring.conveyor import Conveyor
from conveyor.wiring.signing import open_signer


def make_verifier(conveyor: Conveyor, *, look_closer: bool) -> Verifier:
    """Put a verifier together.

    Args:
        conveyor: the rest.
        look_closer: have diffoscope tell what differs.

    Raises:
        CommandMissing: diffoscope is not installed.
    """
    if look_closer:
        diffoscope.require()
    rebuilding = _rebuilding(conveyor)
    if look_closer:
        rebuilding = replace(rebuilding, look_closer=diffoscope.Diffoscope(conveyor.builders.sandbox).look_closer)
    signer = open_signer(conveyor.settings.signing)
    checker = None if signer is None else KeysChecker(lambda: signer.public_keys)
    return Verifier(conveyor.parts, rebuilding, checker)


def make_repair(conveyor: Conveyor) -> Repair:
    """What makes damaged files again."""
    repos = conveyor.repos
    return Repair(conveyor.parts, _rebuilding(conveyor), conveyor.tree, repos.packages, repos.targets)


def _rebuilding(conveyor: Conveyor) -> Rebuilding:
    builders = conveyor.builders
    return Rebuilding(recreators={BuilderKind.OVERLAY: builders.overlay}, scratch=builders.jobs.folder)
