"""From what repositories say to builds in the queue."""
