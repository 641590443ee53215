"""Every intended error: what happened, the likely cause, what to do, and whose fault it is.

Code that cannot go on raises one of these. The command line prints it; the pipeline turns it into the outcome of
a build. Anything else that escapes is a defect of Conveyor.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Fault(StrEnum):
    """Whose fault an error is. It decides the exit code, and whether trying again can help."""

    PACKAGE = "package"  # the upstream or its packaging: final until something changes
    USER = "user"  # the command line or the configuration
    OURS = "ours"  # Conveyor or its machine: trying again may help
    NETWORK = "network"  # a server that did not answer: trying again may help


EXIT_CODES = {Fault.PACKAGE: 1, Fault.USER: 2, Fault.OURS: 3, Fault.NETWORK: 3}


class ConveyorError(Exception):
    """Base of all intended errors.

    Args:
        what: what happened, in one line, naming the thing that it happened to.
        cause: the likely cause, in one line; empty where `what` says it all.
        hint: what to do next; empty where nobody can tell.
        details: further lines that matter, such as the last lines of a log.
    """

    fault = Fault.OURS

    def __init__(self, what: str, *, cause: str = "", hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.hint = hint
        self.details = tuple(details)

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this error."""
        return EXIT_CODES[self.fault]

    @property
    def summary(self) -> str:
        """What happened and why, in one line."""
        return f"{self.what}: {self.cause}" if self.cause else self.what

    def __str__(self) -> str:
        return "\n".join(filter(None, [self.summary, self.hint]))


class UserError(ConveyorError):
    """The command line or the configuration is wrong."""

    fault = Fault.USER


class ConfigurationInvalid(UserError):
    """repos.yaml or the settings have mistakes; `details` holds one line for each."""


class SigningUndecided(UserError):
    """The settings do not say whether published repositories are signed."""


class UnknownName(UserError):
    """A package, target, build or other name is not known; the hint suggests the nearest."""


class AmbiguousName(UnknownName):
    """More than one thing goes by a name; `cause` names them."""


class RevisionMissing(UserError):
    """A branch, tag or sha does not exist in an upstream repository."""


class PermissionMissing(UserError):
    """The calling user may not do what this needs, such as mounting."""


class PromotionRefused(UserError):
    """A pointer may not be moved there; `details` holds one line for each thing that is missing."""


class NotPossible(UserError):
    """What is asked for does not go with the state that something is in; `what` names both."""


class SignInNeeded(UserError):
    """Something needs a permission, and nobody knows who asks."""

    def __init__(self, permission: str) -> None:
        super().__init__(
            f"this needs the permission {permission!r}",
            cause="the request says nothing of who asks",
            hint="send a token: 'Authorization: Bearer ...' ('conveyor token create' makes one), or sign in",
        )


class Forbidden(UserError):
    """Somebody may not do what is asked for."""

    def __init__(self, name: str, permission: str) -> None:
        super().__init__(
            f"{name} may not do this",
            cause=f"it needs the permission {permission!r}",
            hint="an administrator can give it: 'conveyor user permit', or a token by 'conveyor token create'",
        )


class NotRecognized(UserError):
    """A token, a name or a password is nobody's, or works no more."""


class ForeignPage(UserError):
    """A page of another site may have made somebody's browser act."""


class TooManyTries(UserError):
    """Too many tries to come in have failed.

    Args:
        wait: seconds until there may be another one.
    """

    def __init__(self, wait: int) -> None:
        super().__init__("too many tries have failed", hint=f"wait {wait} seconds, and try again")
        self.wait = wait


class HookRefused(UserError):
    """Nothing shows that a webhook comes from whom it says."""


class ExportInvalid(UserError):
    """A file to import is no export of a store, was cut off or changed, or is of another version."""


class PackageError(ConveyorError):
    """The upstream or its packaging is at fault."""

    fault = Fault.PACKAGE


class UpstreamEmpty(PackageError):
    """The upstream repository has no commit."""


class TemplateInvalid(PackageError):
    """A packaging template cannot be rendered; `what` names its file and line."""


class VersionInvalid(PackageError):
    """No version that the target's format can express follows from the git history and the scheme."""


class SourceInvalid(PackageError):
    """The source package cannot be made: a spec that does not parse, a broken debian/ folder."""


class BuildDependencyMissing(PackageError):
    """A build dependency cannot be satisfied; `cause` names it."""


class BuildFailed(PackageError):
    """The build itself failed; `cause` names the failing command, `details` the lines of the log that matter."""


class LimitExceeded(PackageError):
    """A build used more time, memory, disk or processes than its target allows."""


class ResultsInvalid(PackageError):
    """What the build left cannot be published: too many files, two under one name, a device node."""


class ForeignPackage(PackageError):
    """The build made a package that is not its own: undeclared, of another source, or another package's."""


class NotInstallable(PackageError):
    """The packages were built but cannot be installed with their dependencies."""


class VersionWentBackwards(PackageError):
    """The version sorts below one that is already published."""


class CommitSuperseded(PackageError):
    """A newer commit or packaging took its place: nothing is wrong with it, and nothing of it is to be built."""


class ContentChanged(PackageError):
    """The same name, version and architecture is already published with other content."""


class NetworkError(ConveyorError):
    """A server could not be reached or did not answer properly."""

    fault = Fault.NETWORK


class ProviderUnusable(NetworkError):
    """The provider that people sign in with does not answer, or not as it should."""


class UpstreamUnreachable(NetworkError):
    """An upstream or packaging repository cannot be fetched."""


class HostUnreachable(UpstreamUnreachable):
    """A repository's whole server does not answer, or wants to be left alone."""


class MirrorUnreachable(NetworkError):
    """A distribution's package mirror cannot be reached."""


class MirroringFailed(NetworkError):
    """A mirror could not be brought up to date; it is tried again."""


class NoticeFailed(NetworkError):
    """Somebody could not be told of something; it is tried again."""


class ChannelDown(NoticeFailed):
    """Nobody can be told in this way at the moment; all that would go the same way waits.

    Args:
        what: what happened.
        cause: the likely cause.
        hint: what to do next.
        wait: seconds that the other side asks to be left alone; 0 where it does not say.
    """

    def __init__(self, what: str, *, cause: str = "", hint: str = "", wait: float = 0) -> None:
        super().__init__(what, cause=cause, hint=hint)
        self.wait = wait


class NoticeRefused(UserError):
    """Somebody can never be told in this way: the address is none, or the settings do not know the recipient."""


class CommandFailed(ConveyorError):
    """A host command ended with an exit code that was not expected; `details` ends with its last lines."""


class CommandTimedOut(ConveyorError):
    """A host command took longer than its limit."""


class OutputTooLong(ConveyorError):
    """A host command printed more than its caller takes."""


class CommandMissing(ConveyorError):
    """A program that is needed is not installed on this machine."""

    fault = Fault.USER


class SandboxUnusable(ConveyorError):
    """The sandbox could not be set up, so the command in it was never run."""


class DiskFull(ConveyorError):
    """The disk has no room left for what Conveyor must write."""


class DiskFailed(ConveyorError):
    """The disk fails, is read-only, or does not let this user write; what was being written is not there."""


class StoreUnusable(ConveyorError):
    """The store cannot be opened, or is of a version that this Conveyor does not know."""


class SigningFailed(ConveyorError):
    """The signing key is missing, expired or locked, or gpg did not sign; nothing was published."""


class ArtifactDamaged(ConveyorError):
    """A file in the pool is not what it was when it was published; `what` names it."""


class SnapshotDamaged(ConveyorError):
    """What a published snapshot says of itself cannot be read; `what` names the file."""


class LedgerBroken(ConveyorError):
    """An entry of the ledger was changed, does not follow from the one before, or is gone."""

    @property
    def exit_code(self) -> int:
        """1: what was looked at is not as it should be."""
        return 1


class DaemonRunning(ConveyorError):
    """Another daemon works with the same store or data directory; two never act at once."""


class ClaimLost(ConveyorError):
    """Another worker was given the build meanwhile; what this one did with it does not count."""


class Interrupted(ConveyorError):
    """A person or the system asked this process to stop."""

    @property
    def exit_code(self) -> int:
        """130, what shells give a command that ended on Ctrl-C."""
        return 130
