"""The verifier of builds, put together."""

from __future__ import annotations

from conveyor.buildroot import diffoscope
from conveyor.model.target import BuilderKind
from conveyor.pipeline.rebuild import Rebuilding
from conveyor.pipeline.verify import Verifier
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
    builders = conveyor.builders
    rebuilding = Rebuilding(
        recreators={BuilderKind.OVERLAY: builders.overlay},
        scratch=builders.jobs.folder,
        look_closer=diffoscope.Diffoscope(builders.sandbox).look_closer if look_closer else None,
    )
    signer = open_signer(conveyor.settings.signing)
    checker = None if signer is None else KeysChecker(lambda: signer.public_keys)
    return Verifier(conveyor.parts, rebuilding, checker)
