"""The composition root: settings in, a running Conveyor out."""

from __future__ import annotations

from conveyor.repository.signing.keys import create as create_key
from conveyor.wiring.access import make_access_keeping
from conveyor.wiring.conveyor import Conveyor, Records, disk_error, open_conveyor, open_records
from conveyor.wiring.desk import LocalDesk
from conveyor.wiring.explaining import make_controls, make_explainer, make_queue_view, make_work
from conveyor.wiring.keeping import make_collect, make_scrub
from conveyor.wiring.machine import examine, gain_root, require_programs, require_room, require_root
from conveyor.wiring.mirroring import make_mirroring
from conveyor.wiring.ordering import make_ordering
from conveyor.wiring.promotions import make_standings, make_voting
from conveyor.wiring.reminding import make_reminder
from conveyor.wiring.scheduling import QueueReader, configure_scheduler, make_scheduler
from conveyor.wiring.signing import keys, require_signing, unsigned_note
from conveyor.wiring.telling import make_teller
from conveyor.wiring.transfer import export_store, import_store, opened_file, whole_file
from conveyor.wiring.travel import make_travel
from conveyor.wiring.verify import make_repair, make_verifier
from conveyor.wiring.watching import make_watcher

__all__ = [
    "Conveyor",
    "LocalDesk",
    "QueueReader",
    "Records",
    "configure_scheduler",
    "create_key",
    "disk_error",
    "examine",
    "export_store",
    "gain_root",
    "import_store",
    "keys",
    "make_access_keeping",
    "make_collect",
    "make_controls",
    "make_explainer",
    "make_mirroring",
    "make_ordering",
    "make_queue_view",
    "make_reminder",
    "make_repair",
    "make_scheduler",
    "make_scrub",
    "make_standings",
    "make_teller",
    "make_travel",
    "make_verifier",
    "make_voting",
    "make_watcher",
    "make_work",
    "open_conveyor",
    "open_records",
    "opened_file",
    "require_programs",
    "require_room",
    "require_root",
    "require_signing",
    "unsigned_note",
    "whole_file",
]
