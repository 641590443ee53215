"""What happens to what was published: retention, bit rot, mirrors."""
