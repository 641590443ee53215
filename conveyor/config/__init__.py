"""repos.yaml and the site's settings, read and validated once, each as a whole."""

from __future__ import annotations

from conveyor.config.daemon import DaemonSettings
from conveyor.config.human import parse_duration, parse_size
from conveyor.config.repos import Repos, load_repos
from conveyor.config.settings import Settings, SigningSettings, Surroundings, load_settings
from conveyor.config.settings_schema import Scratch

__all__ = [
    "DaemonSettings",
    "Repos",
    "Scratch",
    "Settings",
    "SigningSettings",
    "Surroundings",
    "load_repos",
    "load_settings",
    "parse_duration",
    "parse_size",
]
