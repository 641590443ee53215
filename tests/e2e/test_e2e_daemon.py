"""The daemon on a real builder: from a push to an installed package."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.support.clients import Dnf, Place
from tests.support.daemons import IMPATIENT, Daemon
from tests.support.site import RPM, Site, wait_for


def started(site: Site) -> Daemon:
    """A daemon on the site, which asks upstreams every second."""
    log = site.folder / "daemon.log"
    with log.open("w") as output:
        env = {**IMPATIENT, "CONVEYOR_POLLING_INTERVAL": "1s"}
        return Daemon(site.start("daemon", env=env, log=output), log)


def test_a_push_is_built_and_can_be_installed(rpm_site: Site, tmp_path: Path) -> None:
    place = Place(tmp_path / "client")
    dnf = Dnf(place)
    current = rpm_site.data / "repos" / RPM / "current"
    dnf.source(f"[trunk]\nname=trunk\nbaseurl={current.as_uri()}\ngpgcheck=0\nmetadata_expire=1\n")
    daemon = started(rpm_site)
    wait_for(lambda: daemon.said("build published"), "the first commit")
    dnf.install("hello")
    greeting = place.path("system/usr/share/hello/hello.sh")
    assert greeting.read_text() == "#!/bin/sh\necho hello\n"

    sha = rpm_site.upstream.commit("Say more", files={"hello.sh": b"#!/bin/sh\necho more\n"})
    wait_for(lambda: current.readlink().name.startswith(sha), "the push to be published")
    dnf.upgrade()
    assert greeting.read_text() == "#!/bin/sh\necho more\n"

    rpm_site.stall("build", 600)
    rpm_site.commit_packaging()
    rpm_site.upstream.commit("Take long", files={"hello.sh": b"#!/bin/sh\nsleep 1\n"})
    wait_for(lambda: rpm_site.stage() == "build", "a long build")
    daemon.signal(signal.SIGTERM)
    wait_for(lambda: daemon.said("stopping"), "the signal to be heard")
    daemon.signal(signal.SIGTERM)
    assert daemon.end() == 0, daemon.log.read_text()
    builds = rpm_site.run("status", "--json").json["builds"]
    assert builds[0]["state"] == "queued", json.dumps(builds)
    assert rpm_site.left_behind == []
