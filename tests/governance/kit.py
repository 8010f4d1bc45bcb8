"""Three institutions with real nodes, their people, and a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.node.governance.locking import make_lock
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.runtime.manifest import Manifest, ManifestEntry
from mpcstats.sdk.connect import NodeClient
from mpcstats.sdk.sandbox import PartyFiles
from mpcstats.study.lock import Cost, Proposal
from mpcstats.study.spec import AnalysisSpec

NAMES = ("northfield", "lakeside", "westbay")

DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "heart"
version = 1
[[column]]
name = "sex"
type = "category"
levels = ["f", "m"]
[[column]]
name = "age"
type = "integer"
range = [0, 120]
"""

POLICY = """\
apiVersion = "mpcstats/v1"
kind = "Policy"
extends = "standard"
"""


def make_files(root: Path, policy: str = POLICY, rows: int = 90) -> dict[str, PartyFiles]:
    """Files of three parties with a table each."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dictionary.toml").write_text(DICTIONARY)
    files = {}
    for k, name in enumerate(NAMES):
        rng = np.random.default_rng(k)
        table = pd.DataFrame({"sex": rng.choice(["f", "m"], rows), "age": rng.integers(20, 90, rows)})
        table.to_csv(root / f"{name}.csv", index=False)
        dataset = {"table": str(root / f"{name}.csv"), "dictionary": str(root / "dictionary.toml")}
        files[name] = PartyFiles(datasets={"main": dataset}, policy=policy)
    return files


def truth(root: Path) -> pd.Series:
    """People by sex, pooled."""
    return pd.concat([pd.read_csv(root / f"{name}.csv") for name in NAMES])["sex"].value_counts()


def count_manifest(cells: int) -> Manifest:
    """What a count of these cells opens."""
    why = "people per cell, pooled over all parties, rounded; 0 where suppressed"
    return Manifest((ManifestEntry("counts", cells, "result", why),))


def make_proposal(client: NodeClient, spec: AnalysisSpec, manifest: Manifest, **study: Any) -> Proposal:
    """A proposal as `study plan` makes one, with a manifest given."""
    terms = client.govern("terms", spec=spec.model_dump(mode="json"))["terms"]
    roster = PartyDirectory(client.directory.path).roster()
    lock = make_lock(spec, roster, terms, manifest, Cost(rounds=20), study.get("recipients", ()))
    return Proposal(study=study_file(spec, **study), lock=lock)


def study_file(spec: AnalysisSpec, **fields: Any) -> dict[str, Any]:
    """The content of a study.toml."""
    request = spec.model_dump(mode="json", exclude_defaults=True) | {"type": spec.type}
    plain = {
        "apiVersion": "mpcstats/v1",
        "kind": "Study",
        "id": "heart-count",
        "title": "People with heart failure",
        "principal": "anna@northfield.example",
        "purpose": "feasibility",
        "consortium": "heart",
        "expires": "2099-01-01T00:00:00Z",
        "data": {"dataset": request.pop("dataset", "main")},
        "analysis": request,
    }
    return plain | fields


def propose(client: NodeClient, proposal: Proposal) -> str:
    """Propose a study; its id."""
    return str(client.govern("propose", proposal=json.loads(proposal.model_dump_json()))["study"])
