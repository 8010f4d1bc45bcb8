"""Floor 3: a session of parties: rounds, openings, accounts."""

from __future__ import annotations

from mpcstats.runtime.manifest import Manifest, ManifestEntry
from mpcstats.runtime.opening import confirm, open_declared, open_declared_bits, open_to
from mpcstats.runtime.openings import Sealed
from mpcstats.runtime.session import Session
from mpcstats.runtime.setup import agree_on_keys
from mpcstats.runtime.shared import BooleanShared, Shared, concatenate
from mpcstats.runtime.telling import tell_everybody
from mpcstats.runtime.threads import local

__all__ = [
    "BooleanShared",
    "Manifest",
    "ManifestEntry",
    "Sealed",
    "Session",
    "Shared",
    "agree_on_keys",
    "concatenate",
    "confirm",
    "local",
    "open_declared",
    "open_declared_bits",
    "open_to",
    "tell_everybody",
]
