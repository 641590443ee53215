"""Webhooks in: forges say that something was pushed."""
