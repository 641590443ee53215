"""Git mirrors, packaging sources, and versions out of git history."""
