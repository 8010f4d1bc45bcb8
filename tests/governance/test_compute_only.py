"""Two hospitals and a neutral node: the third computes and approves nothing, and its operator still has a veto."""

from __future__ import annotations

import time

import pytest

from mpcstats.errors import StudyClosed
from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.sandbox import PartyFiles, make_party_directories
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.analyses.counts import CountSpec
from tests.governance.kit import count_manifest, make_files, make_proposal, propose

pytestmark = pytest.mark.long
SPEC = CountSpec(by=("sex",))
POLICY = 'apiVersion = "mpcstats/v1"\nkind = "Policy"\nextends = "standard"\n[disclosure]\nminimum_parties = 2\n'
POLICY += "small_remainders = true\n"


def test_two_hospitals_and_a_neutral_node(tmp_path) -> None:
    files = make_files(tmp_path, POLICY)
    del files["westbay"]
    files["neutral"] = PartyFiles(role="compute")
    directories = make_party_directories(tmp_path / "parties", files, consortium="heart")
    with ProcessNetwork(directories, start_seconds=240) as network:
        north, lake, neutral = (network[name].client for name in ("northfield", "lakeside", "neutral"))
        deadline = time.monotonic() + 60
        while len(north.govern("consortium")["signed"]) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        study = propose(north, make_proposal(north, SPEC, count_manifest(2), id="pair", recipients=["lakeside"]))
        assert neutral.govern("show", study=study)["waiting_for"] == ["northfield", "lakeside"]
        for client in (north, lake):
            client.govern("decide", study=study, decision="approve")
        assert north.govern("run", study=study)["status"] == "computed"
        for client in (north, lake):
            client.govern("decide", study=study, decision="release")
        path = lake.govern("result", study=study)["path"]
        with open(path, "rb") as file:
            outcome = outcome_from_bytes(file.read())
        assert set(outcome.tables["counts"]["status"]) == {"released"}
        for name in ("northfield", "neutral"):
            assert not list((network[name].directory / "state" / "results").glob("*.outcome"))
        refused = propose(north, make_proposal(north, SPEC, count_manifest(2), id="vetoed"))
        neutral.govern("decide", study=refused, decision="reject", reason="maintenance")
        with pytest.raises(StudyClosed, match="neutral rejected it: maintenance"):
            lake.govern("decide", study=refused, decision="approve")
