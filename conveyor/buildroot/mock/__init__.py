"""The builder that calls mock."""
