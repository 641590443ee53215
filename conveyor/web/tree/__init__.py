"""The published tree, served as files."""
