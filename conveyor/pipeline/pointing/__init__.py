"""Pointers: what moves them, on which evidence, and where they stand."""
