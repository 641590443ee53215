"""Asks a server what commands ask their own site."""
