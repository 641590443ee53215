"""Signatures, by the publisher's own gpg: of repositories, of RPMs, and the keys that clients check them with."""
