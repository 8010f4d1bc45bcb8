"""Who takes part in one run: the roster's parties, less those that are lost for good.

Numbers of a session follow from it at every party in the same way: the members that are left in the roster's order,
then the guests. The threshold is the roster's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from mpcstats.errors import FrameRejected
from mpcstats.node.consortium.roster import Roster
from mpcstats.sharing.committee import Committee

__all__ = ["Lineup"]


@dataclass(frozen=True)
class Lineup:
    """The parties of a run.

    Parameters
    ----------
    roster : Roster
    without : tuple of str
        Names of the roster that do not take part.
    """

    roster: Roster
    without: tuple[str, ...] = ()

    @classmethod
    def asked(cls, roster: Roster, without: Iterable[str], own: str, coordinator: str) -> Lineup:
        """What a coordinator asks for.

        Raises
        ------
        FrameRejected
            Names that are not the roster's, or a run without the one who asks or is asked.
        """
        names = tuple(without)
        if names != tuple(name for name in roster.names if name in names):
            raise FrameRejected("asked for a run without parties that the roster does not have", party=coordinator)
        if own in names or coordinator in names:
            raise FrameRejected("asked for a run without one that takes part", party=coordinator)
        return cls(roster, names)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names by number."""
        return tuple(name for name in self.roster.names if name not in self.without)

    @property
    def committee(self) -> tuple[str, ...]:
        """Names of those who compute."""
        return tuple(name for name in self.roster.committee if name not in self.without)

    @property
    def computing(self) -> Committee:
        """Who computes, for the sharing."""
        return Committee(len(self.committee), self.roster.threshold)

    @property
    def lost(self) -> tuple[int, ...]:
        """Numbers in the roster of those who do not take part."""
        return tuple(self.roster.names.index(name) + 1 for name in self.without)

    def numbers(self, names: Iterable[str]) -> tuple[int, ...]:
        """Numbers in the session of those of them who take part."""
        return tuple(self.names.index(name) + 1 for name in names if name not in self.without)
