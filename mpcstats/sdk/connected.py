"""A consortium reached through one's own party node."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.sdk.connect import NodeClient
from mpcstats.sdk.consortium import Consortium
from mpcstats.stats.outcome import Outcome
from mpcstats.study.dictionary import Dictionary, load_dictionary
from mpcstats.study.spec import AnalysisSpec

if TYPE_CHECKING:
    from mpcstats.sdk.study_session import StudyConsortium

__all__ = ["ConnectedConsortium", "connect"]


def connect(
    consortium: str, *, party: str | Path, progress: Callable[[str], None] | None = None
) -> ConnectedConsortium:
    """Reach a consortium through one's own party node.

    Parameters
    ----------
    consortium : str
        Name of the consortium, as in the roster: guards against asking the wrong one.
    party : path
        The party's directory; its key is the ticket to its node.
    progress : function of str, optional
        Told what happens while a run goes on.

    Raises
    ------
    ConfigurationError
        The directory has no keys or roster, or its consortium has another name.
    """
    connected = ConnectedConsortium(party, progress=progress)
    if connected.name != consortium:
        raise ConfigurationError(
            f"the party in {party} belongs to the consortium {connected.name!r}, not {consortium!r}"
        )
    return connected


class ConnectedConsortium(Consortium):
    """See `connect`."""

    def __init__(self, party: str | Path, *, progress: Callable[[str], None] | None = None) -> None:
        self._client = NodeClient(party)
        self._progress = progress or (lambda text: None)
        roster = self._client.directory.roster()
        self.name, self.parties = roster.consortium, roster.names

    def __repr__(self) -> str:
        return f"<consortium {self.name} of {', '.join(self.parties)}, through the node of {self._client.name}>"

    def study(
        self,
        name: str,
        *,
        title: str,
        purpose: str,
        principal: str,
        expires: datetime.date | datetime.datetime | str,
        recipients: Sequence[str] = (),
        wait_seconds: float = 600.0,
        **fields: Any,
    ) -> StudyConsortium:
        """A study: the next request is proposed to all institutions, run when they approve, fetched when they release.

        Parameters
        ----------
        name : str
            Id of the study; one study is one request. Asked again, it goes on where it is.
        title, purpose, principal : str
            For the people who approve.
        expires : date or time
            After this nothing runs and nothing is released.
        recipients : sequence of party names
            Default: all.
        wait_seconds : float
            How long a request waits for the others before it raises `NotApproved`.
        fields
            Others of study.toml: publication, ethics, authors, duo_use.

        Returns
        -------
        StudyConsortium
            With the methods of a consortium.
        """
        from mpcstats.sdk.study_session import StudyConsortium

        plain = {"id": name, "title": title, "purpose": purpose, "principal": principal, "expires": expires, **fields}
        if recipients:
            plain["recipients"] = list(recipients)
        return StudyConsortium(self._client, plain, self._dictionary_of, wait_seconds, self._progress)

    def _dictionary_of(self, dataset: str) -> Dictionary:
        datasets = self._client.directory.config.datasets
        if dataset not in datasets:
            raise SpecError(
                f"the party in {self._client.directory.path} has no data set {dataset!r}, so its columns are not known",
                hint=f"data sets: {', '.join(datasets) or 'none'}",
            )
        return load_dictionary(datasets[dataset].dictionary)

    def _run(self, spec: AnalysisSpec) -> Outcome:
        return self._client.run(spec, self._progress)
