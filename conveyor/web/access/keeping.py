"""What looks after tokens, users and the audit log, for whoever asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from conveyor.pipeline.access.keeping import AccessKeeping
from conveyor.web.access.auditing import Noting
from conveyor.web.access.guard import Admin, door_of
from conveyor.web.site import Here
from conveyor.wiring import make_access_keeping


def _keeping(request: Request, site: Here, who: Admin, note: Noting) -> AccessKeeping:
    return make_access_keeping(
        site.conveyor.records, who.name, who.means, tell=note.does, passwords=door_of(request).passwords
    )


# For those who may; what it does is recorded with the request.
Keeping = Annotated[AccessKeeping, Depends(_keeping)]
