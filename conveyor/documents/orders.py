"""Orders from afar, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import build_as_json, build_from_json, cause_as_json, cause_from_json
from conveyor.documents.moments import iso, moment
from conveyor.documents.queue import daemon_as_json, daemon_from_json
from conveyor.model.order import NewOrder, Order
from conveyor.pipeline.desk import Built, Ordered


def ordered_as_json(ordered: Ordered) -> dict[str, Any]:
    """An order, and how its builds stand."""
    return {
        "format_version": FORMAT_VERSION,
        "order": _order_as_json(ordered.order),
        "builds": [
            {"build": build_as_json(each.build), "repository": each.repository or None} for each in ordered.builds
        ],
        "daemon": daemon_as_json(ordered.daemon),
    }


def orders_as_json(orders: Sequence[Ordered]) -> dict[str, Any]:
    """The document that `conveyor --server URL build --no-wait --json` prints."""
    return {"format_version": FORMAT_VERSION, "orders": [_order_as_json(each.order) for each in orders]}


def ordered_from_json(document: Mapping[str, Any]) -> Ordered:
    """What a document says of an order."""
    builds = tuple(
        Built(build=build_from_json(each["build"]), repository=each["repository"] or "") for each in document["builds"]
    )
    order = document["order"]
    wanted = NewOrder(
        package=order["package"],
        revision=order["commit"] or "",
        targets=tuple(order["targets"]),
        actor=order["actor"],
        at=datetime.fromisoformat(order["at"]),
    )
    return Ordered(
        order=Order(
            number=order["number"],
            wanted=wanted,
            builds=tuple(each.build.id for each in builds),
            cause=cause_from_json(order["cause"]) if order["cause"] else None,
            settled_at=moment(order["settled_at"]),
        ),
        builds=builds,
        daemon=daemon_from_json(document["daemon"]),
    )


def _order_as_json(order: Order) -> dict[str, Any]:
    wanted = order.wanted
    return {
        "number": order.number,
        "package": wanted.package,
        "commit": wanted.revision or None,
        "targets": list(wanted.targets),
        "actor": wanted.actor,
        "at": wanted.at.isoformat(),
        "state": order.state,
        "settled_at": iso(order.settled_at),
        "cause": cause_as_json(order.cause) if order.cause else None,
    }
