"""A repository without packages: dnf refuses to do anything without a repository, even where all is installed."""

from __future__ import annotations

import hashlib

PRIMARY = """\
<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" packages="0"/>
"""
REPOMD = """\
<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo">
  <data type="primary">
    <checksum type="sha256">{checksum}</checksum>
    <location href="repodata/primary.xml"/>
  </data>
</repomd>
"""


def repository(folder: str) -> dict[str, str]:
    """The files of the repository, and what names it to dnf, by path below `folder`."""
    checksum = hashlib.sha256(PRIMARY.encode()).hexdigest()
    return {
        "repos.d/nothing.repo": f"[nothing]\nname=nothing\nbaseurl=file://{folder}/nothing\ngpgcheck=0\n",
        "nothing/repodata/primary.xml": PRIMARY,
        "nothing/repodata/repomd.xml": REPOMD.format(checksum=checksum),
    }
