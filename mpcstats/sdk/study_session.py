"""An analysis as a study: proposed, approved by every institution, run, released; from a notebook."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mpcstats.errors import NotApproved, SpecError, StudyClosed
from mpcstats.node.planning.drafts import Draft
from mpcstats.sdk.connect import NodeClient
from mpcstats.sdk.consortium import Consortium
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.canonical import normalised
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.files.study import Study, parse_study
from mpcstats.study.files.writing import study_text
from mpcstats.study.spec import AnalysisSpec

__all__ = ["StudyConsortium"]

_EVERY_SECONDS = 2.0
_OVER = {"rejected", "withdrawn", "revoked", "expired", "withheld"}


class StudyConsortium(Consortium):
    """See `ConnectedConsortium.study`.

    Parameters
    ----------
    client : NodeClient
        Of the own node.
    fields : mapping
        What study.toml says beside the request: id, title, purpose, principal, expires, recipients, ...
    dictionary_of : function of data set -> Dictionary
    wait_seconds : float
    progress : function of str
    """

    def __init__(
        self,
        client: NodeClient,
        fields: Mapping[str, Any],
        dictionary_of: Callable[[str], Dictionary],
        wait_seconds: float,
        progress: Callable[[str], None],
    ) -> None:
        self._client, self._fields, self._wait, self._progress = client, dict(fields), wait_seconds, progress
        self._dictionary = dictionary_of

    def __repr__(self) -> str:
        return f"<study {self._fields['id']} through the node of {self._client.name}>"

    def _dictionary_of(self, dataset: str) -> Dictionary:
        return self._dictionary(dataset)

    def _run(self, spec: AnalysisSpec) -> Outcome:
        """The released result of the study; proposes, runs and waits where that is still to do.

        Raises
        ------
        NotApproved
            Others have not approved or released in time: ask again later, and it goes on where it is.
        StudyClosed
            Somebody refused, or it expired.
        SpecError
            A study of this id asks for something else.
        """
        study = self._known(spec) or self._propose(spec)
        deadline = time.monotonic() + self._wait
        while True:
            self._client.govern("sync")
            line = self._client.govern("show", study=study)
            status = line["status"]
            if status == "approved":
                self._client.govern("run", self._progress, study=study)
            elif status == "released" or (status == "computed" and not line["run"]["waiting_for"]):
                path = self._client.govern("result", self._progress, study=study)["path"]
                return outcome_from_bytes(Path(path).read_bytes())
            elif status in _OVER:
                raise StudyClosed(f"study {line['name']} is {status}: {line['why']}", hint="propose another study")
            elif time.monotonic() > deadline:
                raise self._waiting(line)
            else:
                self._progress(f"study {line['name']} is {status}")
                time.sleep(_EVERY_SECONDS)

    def _known(self, spec: AnalysisSpec) -> str | None:
        """Id of the study, if it was proposed before."""
        found = [line for line in self._client.govern("inbox")["studies"] if line["name"] == self._fields["id"]]
        if not found or found[0]["status"] in _OVER:
            return None
        shown = self._client.govern("show", study=found[0]["id"])
        if shown["lock"]["spec"] != spec.model_dump(mode="json"):
            raise SpecError(
                f"study {self._fields['id']} asks for something else",
                hint="one study is one request: choose another id",
            )
        return str(shown["id"])

    def _propose(self, spec: AnalysisSpec) -> str:
        study = self._study(spec)
        self._progress("planning: a rehearsal on dummy records")
        terms = self._client.govern("terms", self._progress, spec=spec.model_dump(mode="json"))["terms"]
        terms.pop(self._client.name, None)
        with TemporaryDirectory() as folder:
            file = Path(folder) / "study.toml"
            file.write_text(study_text(study.plain()), encoding="utf-8")
            draft = Draft(file, self._client.directory, terms)
            plan = draft.plan(progress=self._progress)
            if plan.refused:
                raise NotApproved(f"the rules refuse this request: {plan.refused}", hint="ask for less detail")
            proposal = {"study": normalised(study.plain()), "lock": draft.lock(plan)}
        return str(self._client.govern("propose", self._progress, proposal=proposal)["study"])

    def _study(self, spec: AnalysisSpec) -> Study:
        request = spec.model_dump(mode="json", exclude_defaults=True) | {"type": spec.type}
        data = {"dataset": spec.dataset}
        request.pop("dataset", None)
        plain = {"apiVersion": "mpcstats/v1", "kind": "Study", "consortium": self._client.directory.roster().consortium}
        fields = {name: value for name, value in self._fields.items() if value is not None}
        if isinstance(fields.get("expires"), datetime.date) and not isinstance(fields["expires"], datetime.datetime):
            fields["expires"] = datetime.datetime.combine(fields["expires"], datetime.time(), datetime.UTC)
        return parse_study({**plain, **fields, "data": data, "analysis": request}, f"study {self._fields['id']}")

    def _waiting(self, line: Mapping[str, Any]) -> NotApproved:
        run = line["run"]
        who = line["waiting_for"] or (run["waiting_for"] if run else [])
        return NotApproved(
            f"study {line['name']} is {line['status']}: waiting for {', '.join(who)}",
            hint="run the same lines again later: the study goes on where it is",
        )
