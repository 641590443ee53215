"""What was published, found by name and time."""
