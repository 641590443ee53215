"""A published build, made again and compared."""
