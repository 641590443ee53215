"""`conveyor serve` that waits for slow clients as long as a test does: a program of its own."""

from __future__ import annotations

from conveyor.cli.main import main
from conveyor.web import patience

if __name__ == "__main__":
    setattr(patience, "REQUEST_WITHIN", 3.0)  # noqa: B010
    setattr(patience, "READ_WITHIN", 3.0)  # noqa: B010
    main()
