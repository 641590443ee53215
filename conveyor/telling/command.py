"""Notices to commands of the site's own."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from conveyor import command
from conveyor.errors import ChannelDown, CommandFailed, CommandMissing, CommandTimedOut, NoticeFailed, NoticeRefused
from conveyor.model.channels import CommandHook
from conveyor.model.notice import Notice
from conveyor.model.text import plain, shortened

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

KEPT_BYTES = 4096
SAID_CHARACTERS = 300


class CommandNotifier:
    """The port Notifier, by a command: the notice's JSON is its standard input, and there is no shell.

    Args:
        commands: the site's commands.
    """

    def __init__(self, commands: Iterable[CommandHook]) -> None:
        self._commands = {each.name: each for each in commands}

    def send(self, notice: Notice) -> None:
        """Send one.

        Raises:
            NoticeRefused: the settings have no such command.
            NoticeFailed: it ended with another code than 0.
            ChannelDown: it cannot be run, or took longer than it may.
        """
        chosen = self._commands.get(notice.recipient)
        if chosen is None:
            raise NoticeRefused(f"the settings have no command {notice.recipient!r} any more")
        said = _LastBytes()
        try:
            command.run(chosen.argv, timeout=chosen.time_limit, input_bytes=notice.body.encode(), log=said)
        except CommandFailed as error:
            cause = shortened(plain(" ".join(said.text.split())), SAID_CHARACTERS)
            raise NoticeFailed(f"command {chosen.name}: {error.what}", cause=cause) from error
        except (CommandMissing, CommandTimedOut) as error:
            raise _down(chosen, error.what) from error
        except OSError as error:
            raise _down(chosen, f"{chosen.argv[0]}: {error.strerror}") from error


class _LastBytes(io.BytesIO):
    """Keeps the end of what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = b""

    @property
    def text(self) -> str:
        """What is kept."""
        return self._kept.decode("utf-8", "replace")

    def write(self, data: ReadableBuffer, /) -> int:
        """Take in more."""
        self._kept = (self._kept + bytes(data))[-KEPT_BYTES:]
        return len(bytes(data))


def _down(chosen: CommandHook, cause: str) -> ChannelDown:
    hint = "see to the command, or correct [[commands]] in conveyor.toml"
    return ChannelDown(f"command {chosen.name} tells nobody", cause=cause, hint=hint)
