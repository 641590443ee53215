"""The composition root: settings in, a running Conveyor out."""

from __future__ import annotations

from conveyor.wiring.builders import Builders
from conveyor.wiring.conveyor import Conveyor, Records, disk_full_error, open_conveyor, open_records
from conveyor.wiring.machine import examine, gain_root, require_programs, require_room, require_root

__all__ = [
    "Builders",
    "Conveyor",
    "Records",
    "disk_full_error",
    "examine",
    "gain_root",
    "open_conveyor",
    "open_records",
    "require_programs",
    "require_room",
    "require_root",
]
