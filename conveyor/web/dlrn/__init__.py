"""DLRN's API: /api."""
