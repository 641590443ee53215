"""Aggregated client files where DLRN's clients look for them, and components below the pointers.

DLRN has `<pointer>/<name>.repo` with a section for each component, its md5 beside it, and both once more below
`<pointer>/ab/cd/<md5>/`: the name by which tests vote on a set of components.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from conveyor.model.artifact import COMPONENT_FOLDER
from conveyor.repository import files


def md5_of(text: str) -> str:
    """What DLRN calls an aggregated repository file."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def md5_file(client: tuple[str, str]) -> tuple[str, str]:
    """Name and content of the file that tells a client file's md5."""
    name, text = client
    return f"{name}.md5", md5_of(text)


def write(folder: Path, client: tuple[str, str], others: Sequence[str]) -> None:
    """Write the md5 of a snapshot's client file, and what goes by it.

    Args:
        folder: the snapshot's, with the client file and the others in it.
        client: name and content of the client file.
        others: names of files that stand beside it there, too.
    """
    name, md5 = md5_file(client)
    (folder / name).write_text(md5, encoding="ascii")
    place = folder / md5[:2] / md5[2:4] / md5
    place.mkdir(parents=True)
    for each in (client[0], name, *others):
        (place / each).hardlink_to(folder / each)


def link(root: Path, component: str, pointer: str, leads_to: str) -> None:
    """Have `component/<component>/<pointer>` lead to the component below a pointer of the target, durably.

    Args:
        root: the target's tree.
        component: the component's name.
        pointer: the link's name.
        leads_to: the pointer of the target.
    """
    place = root / COMPONENT_FOLDER / component / pointer
    leads = f"../../{leads_to}/{COMPONENT_FOLDER}/{component}"
    if place.is_symlink() and str(place.readlink()) == leads:
        return
    files.make_folder(place.parent, below=root)
    with files.temporary_folder(root) as temporary:
        new = temporary / "link"
        new.symlink_to(leads)
        new.rename(place)
    files.sync_folder(place.parent)
