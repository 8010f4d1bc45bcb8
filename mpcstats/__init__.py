"""mpcstats: joint statistics over institutions that may not show each other their records.

    import mpcstats as ms

    with ms.local({"north": "north.csv", "south": "south.csv", "west": "west.csv"}) as consortium:
        consortium.kaplan_meier(time="time", event="status", by="sex").summary()

`local` embeds all parties in one process (for rehearsal; it protects nothing from that process); `connect` asks
through one's own party node. Names are loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mpcstats.version import __version__

if TYPE_CHECKING:
    from mpcstats import errors
    from mpcstats.node.records.source import Dataset
    from mpcstats.sdk.connected import connect
    from mpcstats.sdk.consortium import Consortium
    from mpcstats.sdk.local import local
    from mpcstats.sdk.projection import project
    from mpcstats.study.policy import Policy

__all__ = ["Consortium", "Dataset", "Policy", "__version__", "connect", "errors", "local", "project"]

_HOME = {
    "Consortium": "mpcstats.sdk.consortium",
    "Dataset": "mpcstats.node.records.source",
    "Policy": "mpcstats.study.policy",
    "connect": "mpcstats.sdk.connected",
    "local": "mpcstats.sdk.local",
    "project": "mpcstats.sdk.projection",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("mpcstats.errors")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mpcstats' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
