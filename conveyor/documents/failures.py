"""Errors that another process tells of, as if they had happened here."""

from __future__ import annotations

from collections.abc import Sequence

from conveyor import errors
from conveyor.errors import ConveyorError, Fault, NetworkError, PackageError, UserError
from conveyor.model.build import Cause

_BY_FAULT = {Fault.USER: UserError, Fault.NETWORK: NetworkError, Fault.PACKAGE: PackageError}


def error_named(
    kind: str, fault: str, what: str, *, cause: str = "", hint: str = "", details: Sequence[str] = ()
) -> ConveyorError:
    """An error of a kind; of one that is not known here, by whose fault it is.

    Args:
        kind: the name of the error's class.
        fault: whose fault it is; the user's where that says nothing.
        what: see `ConveyorError`, as the others.
        cause: see there.
        hint: see there.
        details: see there.
    """
    found = getattr(errors, kind, None)
    if not (isinstance(found, type) and issubclass(found, ConveyorError)):
        found = _BY_FAULT.get(Fault(fault), ConveyorError) if fault in {*Fault} else UserError
    error = found.__new__(found)
    ConveyorError.__init__(error, what, cause=cause, hint=hint, details=details)
    return error


def error_of(cause: Cause) -> ConveyorError:
    """The error that was recorded as a cause."""
    return error_named(cause.kind, cause.fault, cause.summary, hint=cause.hint, details=cause.details)
