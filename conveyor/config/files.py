"""Reading configuration files, and asking what a path is, without surprises."""

from __future__ import annotations

from pathlib import Path

from conveyor.config.mistakes import Mistake, invalid
from conveyor.errors import ConfigurationInvalid

# A thousand packages take a tenth of a megabyte; more than this is some other file.
MAX_FILE_BYTES = 4 * 2**20


def read_text(path: Path) -> str:
    """The text of a configuration file, without a byte order mark.

    Raises:
        ConfigurationInvalid: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        hint = "Run in the folder that holds it, or name it: docs/configuration.md says where it is looked for."
        raise ConfigurationInvalid(f"{path} cannot be read", cause=cause, hint=hint) from error
    if len(content) > MAX_FILE_BYTES:
        text = f"is larger than {MAX_FILE_BYTES // 2**20} MiB; would be right: a file written by hand"
        raise invalid(path.name, [Mistake(source=str(path), line=0, place="", text=text)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = f"byte 0x{content[error.start]:02x} is not UTF-8; would be right: the file saved as UTF-8"
        raise invalid(path.name, [Mistake(source=str(path), line=line, place="", text=text)]) from error


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; False for one that cannot be asked about, such as a name too long."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether a path leads to a file; False for one that cannot be asked about, such as a name too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def folders_in(path: Path) -> tuple[str, ...]:
    """Names of the folders in a folder, sorted; none where it cannot be read."""
    try:
        return tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir()))
    except (OSError, ValueError):
        return ()
