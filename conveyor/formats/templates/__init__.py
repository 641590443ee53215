"""Packaging templates: what Jinja may see and do, and what it says when something is wrong."""
