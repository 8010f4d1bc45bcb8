"""Who computes: m parties at the points 1..m, threshold t, and the subsets that hold common keys."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from mpcstats.errors import ConfigurationError
from mpcstats.field import PrimeField, lagrange

__all__ = [
    "DEFAULT_MEMBERS",
    "MAX_PARTIES",
    "MOST_WITHOUT_GUESTS",
    "Committee",
    "Subset",
    "connected_to",
    "default_committee",
    "default_threshold",
]

MAX_PARTIES = 9
"""Computing parties of a committee."""

MOST_WITHOUT_GUESTS = 7
"""Parties that all compute unless the roster says otherwise: subset keys grow as C(m, t)."""

DEFAULT_MEMBERS = 5
"""Members of the committee of a larger consortium."""

Subset = tuple[int, ...]


def default_threshold(m: int) -> int:
    """The largest threshold with an honest majority; 1 for four parties (one may then drop out or lie)."""
    return 1 if m == 4 else (m - 1) // 2


def default_committee(parties: int) -> Committee:
    """All parties up to seven, else five of them, with the largest threshold."""
    m = parties if parties <= MOST_WITHOUT_GUESTS else DEFAULT_MEMBERS
    return Committee(m, default_threshold(m))


def connected_to(party: int, parties: int, committee: Committee) -> tuple[int, ...]:
    """Whom a party has connections to in a session: a member all others, a guest the members."""
    members = party in committee.members
    return tuple(j for j in range(1, parties + 1) if j != party and (members or j in committee.members))


@dataclass(frozen=True)
class Committee:
    """m computing parties of which any t together learn nothing.

    Parameters
    ----------
    m : int
        Number of parties, 1 to 9. m = 1 is the plaintext twin: same code, no network, no secrecy.
    t : int
        Threshold, 2 t < m: the degree of a sharing.
    """

    m: int
    t: int

    def __post_init__(self) -> None:
        if not (1 <= self.m <= MAX_PARTIES and self.t >= 0 and 2 * self.t < self.m and (self.t or self.m == 1)):
            raise ConfigurationError(
                f"{self.m} computing parties with threshold {self.t} are not possible",
                hint="use 3 to 9 computing parties and a threshold from 1 to (parties - 1) // 2",
            )

    @property
    def members(self) -> range:
        """1..m."""
        return range(1, self.m + 1)

    @functools.cached_property
    def subsets(self) -> tuple[Subset, ...]:
        """All subsets of m - t parties, in lexicographic order. Any t parties miss exactly one common key."""
        return tuple(itertools.combinations(self.members, self.m - self.t))

    @functools.cache  # noqa: B019 - a committee is a small constant
    def subsets_of(self, member: int) -> tuple[Subset, ...]:
        """The subsets that contain a member; rows of its boolean shares follow this order."""
        return tuple(subset for subset in self.subsets if member in subset)

    def keys_of(self, party: int, guests: Sequence[int]) -> tuple[Subset, ...]:
        """The groups with a common key that a party is in: its subsets, and for each guest (subset, guest).

        A guest deals bits with coins that it has in common with a subset. It is in no subset itself.
        """
        outside = tuple((*subset, guest) for subset in self.subsets for guest in guests)
        inside = self.subsets_of(party) if party in self.members else ()
        return (*inside, *(group for group in outside if party in group))

    @functools.cache  # noqa: B019
    def prss_weight(self, field: PrimeField, subset: Subset, member: int) -> int:
        """f_A(member), where f_A has degree t, is 1 at 0 and 0 at every party outside A (Cramer-Damgard-Ishai 2005)."""
        outside = tuple(j for j in self.members if j not in subset)
        return lagrange(field, (0, *outside), member)[0]

    def compressed(self, dealer: int) -> tuple[int, ...]:
        """The t parties whose share of a dealt value comes from the key they hold with the dealer."""
        return tuple((dealer - 1 + k) % self.m + 1 for k in range(1, self.t + 1))

    def sent_to(self, dealer: int) -> tuple[int, ...]:
        """The m - 1 - t parties to which a dealer sends a share; m - t if it is a guest."""
        quiet = (dealer, *self.compressed(dealer))
        return tuple(j for j in self.members if j not in quiet)

    def correction_subset(self, dealer: int) -> Subset:
        """The subset whose boolean share a dealer sends; all its other shares come from subset keys."""
        return tuple(sorted((dealer - 1 + k) % self.m + 1 for k in range(self.m - self.t)))

    @functools.cache  # noqa: B019
    def deal_weights(self, field: PrimeField, dealer: int, receiver: int) -> tuple[int, ...]:
        """Weights that give a receiver's share from (secret, shares of the compressed parties)."""
        return lagrange(field, (0, *self.compressed(dealer)), receiver)

    @functools.cache  # noqa: B019
    def mask_holder(self, subset: Subset) -> int:
        """The member of {1..t+1} who accounts for a subset's mask in comparisons."""
        return next(i for i in range(1, self.t + 2) if i in subset)

    @functools.cached_property
    def and_assignment(self) -> dict[tuple[Subset, Subset], int]:
        """Who multiplies boolean share x_A with y_B: a member of both, spread evenly."""
        load = dict.fromkeys(self.members, 0)
        chosen: dict[tuple[Subset, Subset], int] = {}
        for a, b in itertools.product(self.subsets, repeat=2):
            # 2 (m - t) > m: two subsets always meet
            party = min((i for i in a if i in b), key=lambda i: (load[i], i))
            load[party] += 1
            chosen[a, b] = party
        return chosen
