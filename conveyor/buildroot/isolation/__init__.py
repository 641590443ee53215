"""What runs in a root, and cannot get out of it."""
