"""A store as a file, and a store of such a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from conveyor.errors import UserError
from conveyor.repository.files import sync_folder
from conveyor.wiring.conveyor import disk_error, open_kept

if TYPE_CHECKING:
    from conveyor.config import Settings

# Mails that wait are in it.
_MODE = 0o600


def export_store(settings: Settings, out: BinaryIO) -> int:
    """Write everything that the store holds; returns how many rows.

    Raises:
        NotPossible: it holds nothing.
        StoreUnusable: it cannot be opened or read.
        OSError: `out` cannot be written.
    """
    books = open_kept(settings)
    try:
        return books.transfer.dump(out, datetime.now(UTC))
    finally:
        books.store.close()


def import_store(settings: Settings, source: BinaryIO) -> int:
    """Bring everything from an exported file into an empty store; returns how many rows.

    Raises:
        ExportInvalid: it is not as it was exported, or of another version.
        NotPossible: the store is not empty.
        StoreUnusable, DiskFull: the store cannot be opened or written.
        OSError: `source` cannot be read.
    """
    books = open_kept(settings)
    try:
        return books.transfer.load(source)
    finally:
        books.store.close()


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file for writing that is there as a whole once the block has ended, and as it was before if it raises.

    What is no regular file, such as a device, is written to as it is.

    Raises:
        UserError: it cannot be written there.
        DiskFull, DiskFailed: the disk does not take it.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as out:
                yield out
            return
        with _replacing(path) as out:
            yield out
    except BrokenPipeError:
        raise
    except OSError as error:
        raise disk_error(error, path.parent) or _refused("written", path, error) from error


@contextmanager
def opened_file(path: Path) -> Iterator[BinaryIO]:
    """A file for reading.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as source:
            yield source
    except OSError as error:
        raise _refused("read", path, error) from error


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()


def _refused(how: str, path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be {how}", cause=error.strerror or "", hint="check the name and its owner")
