"""The Debian package format."""
