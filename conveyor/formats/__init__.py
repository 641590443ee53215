"""One folder per package format, alike inside, and what all formats share: templates and names."""
