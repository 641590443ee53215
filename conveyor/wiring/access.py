"""Puts together what looks after tokens and users."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from conveyor.model.access import Means

if TYPE_CHECKING:
    from conveyor.model.access import Deed
    from conveyor.pipeline.access.keeping import AccessKeeping
    from conveyor.pipeline.access.passwords import Passwords
    from conveyor.wiring.conveyor import Records


def make_access_keeping(
    records: Records,
    actor: str,
    means: Means = Means.COMMAND,
    *,
    tell: Callable[[Deed], object] | None = None,
    passwords: Passwords | None = None,
) -> AccessKeeping:
    """What makes tokens and users.

    Args:
        records: what is recorded.
        actor: who does it.
        means: how that is known.
        tell: hears of everything; by default the audit log.
        passwords: what hashes passwords; by default one of its own.
    """
    # Here, because Argon2 takes a moment to import, and most commands do without.
    from conveyor.pipeline.access.keeping import AccessKeeping  # noqa: PLC0415
    from conveyor.pipeline.access.passwords import Passwords  # noqa: PLC0415

    return AccessKeeping(
        tokens=records.tokens,
        users=records.users,
        sessions=records.sessions,
        audit=records.audit,
        tell=tell or records.audit.record,
        clock=records.clock,
        passwords=passwords or Passwords(),
        actor=actor,
        means=means,
    )
