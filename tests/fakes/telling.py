"""The ports `Notifier` and `Letters` for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conveyor.errors import ConveyorError
from conveyor.model.notice import Letter, Notice


@dataclass(slots=True)
class FakeNotifier:
    """Keeps what is sent, or fails.

    Attributes:
        sent: what was sent, in order.
        failure: what every try ends with.
        failures: what the tries to single recipients end with.
    """

    sent: list[Notice] = field(default_factory=list)
    failure: ConveyorError | None = None
    failures: dict[str, ConveyorError] = field(default_factory=dict)

    def send(self, notice: Notice) -> None:
        failure = self.failures.get(notice.recipient, self.failure)
        if failure is not None:
            raise failure
        self.sent.append(notice)


class PlainLetters:
    """Names the template, and the subjects of what is told together."""

    def write(self, name: str, facts: Mapping[str, object]) -> Letter:
        told = facts.get("notices", ())
        assert isinstance(told, Sequence)
        event = facts.get("event", {})
        assert isinstance(event, Mapping)
        lines = [str(each["subject"]) for each in told]
        return Letter(subject=f"{name} {event.get('summary', len(told))}", body="\n".join(lines))
