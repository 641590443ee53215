"""The RPM format."""
