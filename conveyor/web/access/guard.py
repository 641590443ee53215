"""Who asks, and whether it may: what routes depend on.

A route that looks takes `Reader`; one that acts takes `Voter`, `Promoter`, `Operator` or `Admin`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends

from conveyor.errors import Forbidden, SignInNeeded
from conveyor.model.access import Means, Permission, Principal
from conveyor.web.site import Here


def principal(site: Here) -> Principal:
    """Who asks."""
    permissions = frozenset({Permission.READ}) if site.settings.web.open else frozenset[Permission]()
    return Principal(name="", permissions=permissions, means=Means.NOBODY)


Asking = Annotated[Principal, Depends(principal)]


def may(permission: Permission) -> Callable[[Principal], Principal]:
    """What lets only those through that may do this.

    Raises:
        SignInNeeded: nobody knows who asks.
        Forbidden: it may not.
    """

    def check(asking: Asking) -> Principal:
        if asking.may(permission):
            return asking
        if asking.means is Means.NOBODY:
            raise SignInNeeded(permission)
        raise Forbidden(asking.name, permission)

    return check


Reader = Annotated[Principal, Depends(may(Permission.READ))]
Voter = Annotated[Principal, Depends(may(Permission.VOTE))]
Promoter = Annotated[Principal, Depends(may(Permission.PROMOTE))]
Operator = Annotated[Principal, Depends(may(Permission.RETRY))]
Admin = Annotated[Principal, Depends(may(Permission.ADMIN))]
