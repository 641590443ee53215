"""The daemon: polls, hands builds to workers, and looks after what they leave. It starts in `service.py`."""
