"""Conveyor turns every upstream commit into installable packages, RPM and deb alike."""

__version__ = "0.1.0"
