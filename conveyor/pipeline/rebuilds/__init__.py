"""Builds without a commit of their own: for changed dependencies, and for packages that need each other."""
