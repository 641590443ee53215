"""The stages, in reading order: poll, build, publish."""
