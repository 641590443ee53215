"""What streams: logs and events."""
