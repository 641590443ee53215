"""The daemon's log: one JSON object a line, or readable on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from conveyor.model.text import plain

Log = FilteringBoundLogger


def set_up(stream: TextIO | None = None, *, level: str = "info") -> Log:
    """Have everything logged to a stream, standard error if None; what libraries log is in it from warnings on.

    Text of others is harmless on a terminal: structlog escapes what stands in fields, and the event is made plain.
    """
    output = stream or sys.stderr
    least = logging.getLevelNamesMapping()[level.upper()]
    common: list[Processor] = [
        _plain_event,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    for_people = output.isatty()
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if for_people else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("conveyor").setLevel(least)
    # It complains of each look that the one before took longer than: that is as it should be.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=True,
    )
    log: Log = structlog.get_logger("conveyor.daemon")
    return log


def _plain_event(_logger: object, _method: str, event: EventDict) -> EventDict:
    event["event"] = plain(str(event["event"]))
    return event
