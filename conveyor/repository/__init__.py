"""The published tree: pool, snapshots, pointers. Plain files and symlinks that any static web server can serve."""
