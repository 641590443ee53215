"""What a Python source tree needs so that its build system works without git.

pbr and setuptools take the list of files from git where there is a .git, else from the SOURCES.txt of the tree; pbr and
setuptools-scm take the version from PKG-INFO. Both are written from git's own data: nothing of the upstream is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from conveyor.model.packaging import RenderInput


def python_metadata(render_input: RenderInput) -> Mapping[str, bytes]:
    """Files to add to the archive of a Python package, by path; none for a tree that is no Python distribution."""
    files = render_input.source_files
    if not {"setup.py", "setup.cfg", "pyproject.toml"} & set(files):
        return {}
    name = render_input.package.distribution
    information = f"Metadata-Version: 2.1\nName: {name}\nVersion: {render_input.version.upstream}\n"
    folder = f"{re.sub(r'[^A-Za-z0-9.]+', '_', name)}.egg-info"
    listed = [*files, "PKG-INFO", f"{folder}/PKG-INFO", f"{folder}/SOURCES.txt"]
    sources = "".join(f"{path}\n" for path in listed if not re.search(r"[\x00-\x1f]", path))
    return {
        "PKG-INFO": information.encode(),
        f"{folder}/PKG-INFO": information.encode(),
        f"{folder}/SOURCES.txt": sources.encode(),
    }
