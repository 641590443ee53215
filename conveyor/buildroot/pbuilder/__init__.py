"""The builder that calls pbuilder."""
