"""What the network sees: nothing that depends on the records, and no record in any form."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.field import M127
from mpcstats.sdk import local as local_module
from mpcstats.sharing.fixedpoint import encode
from mpcstats.transport.memory import MemoryNetwork, Message
from tests.sdk.test_local import genotype_sites

NAMES = ("northfield", "lakeside", "westbay")


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Every message of every run."""
    seen: list[Message] = []

    def observed(parties: tuple[str, ...], patience: float) -> MemoryNetwork:
        return MemoryNetwork(parties, patience, observe=seen.append)

    monkeypatch.setattr(local_module, "MemoryNetwork", observed)
    return seen


def cohort(seed: int, deaths: float) -> dict[str, pd.DataFrame]:
    """Tables of equal public shape: same columns, levels and range of times."""
    rng = np.random.default_rng(seed)
    sites = {}
    for name in NAMES:
        frame = pd.DataFrame(
            {
                "time": rng.integers(1, 400, 50),
                "status": (rng.random(50) < deaths).astype(int),
                "sex": rng.choice(["F", "M"], 50),
                "age": rng.integers(40, 90, 50),
            }
        )
        frame.loc[:3, ["time", "status", "age"]] = [[1, 0, 40], [400, 1, 90], [1, 1, 41], [400, 0, 89]]
        frame.loc[:1, "sex"] = ["F", "M"]
        sites[name] = frame
    return sites


ANALYSES: dict[str, Callable[[Any], Any]] = {
    "count": lambda c: c.count(where="age > 60", by=["sex"]),
    "kaplan_meier": lambda c: c.kaplan_meier(time="time", event="status", by="sex"),
}


@pytest.mark.parametrize("policy", ["open", "standard"])
@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_traffic_is_the_same_for_any_records(wire: list[Message], name: str, policy: str) -> None:
    traces = []
    for seed, deaths in ((1, 0.9), (2, 0.05)):
        wire.clear()
        with ms.local(cohort(seed, deaths), policy=policy) as consortium:
            ANALYSES[name](consortium)
        traces.append(sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in wire))
    assert traces[0] == traces[1]
    assert len(traces[0]) > 10


def forms(value: float) -> list[bytes]:
    """A number as it might appear by mistake: text, doubles, integers, fixed point."""
    found = [repr(value).encode(), struct.pack("<d", value), struct.pack(">d", value), struct.pack("<q", int(value))]
    found += [bytes(M127.to_bytes(encode(M127, np.array(value), bits, 24))) for bits in (0, 20, 40, 58, 60)]
    return [form for form in found if len(form) >= 8]


def test_no_message_carries_a_record(wire: list[Message], tmp_path: Path) -> None:
    """Canaries: phenotypes that occur once, looked for in everything that any party sends."""
    parties, traits, _ = genotype_sites(tmp_path, 3, 11)
    canaries = traits["height"].to_numpy()
    with ms.local(parties) as consortium:
        consortium.gwas(phenotype="height", covariates=["age"])
    sent = b"".join(m.payload for m in wire)
    assert len(sent) > 10_000
    assert not [c for c in canaries for form in forms(float(c)) if form in sent]


def test_the_canary_test_would_see_a_record(wire: list[Message]) -> None:
    message = Message(0, 1, 2, b"noise" + struct.pack("<d", 171.25) + b"noise")
    assert any(form in message.payload for form in forms(171.25))


def test_shares_of_a_rare_count_do_not_show_where_the_person_is(wire: list[Message]) -> None:
    """One person at one site, at another, or nobody: what each single party receives is as long and as random."""
    lengths = set()
    for home in (0, 1, 2, None):
        wire.clear()
        sites = {name: pd.DataFrame({"age": [50] * 20 + ([70] if home == k else [51])}) for k, name in enumerate(NAMES)}
        with ms.local(sites, policy="standard") as consortium:
            assert consortium.count(where="age >= 65").value is None
        lengths.add(tuple(sum(len(m.payload) for m in wire if m.receiver == i) for i in (1, 2, 3)))
        elements = [m.payload for m in wire if len(m.payload) % 8 == 0]
        small = [word for data in elements for word in struct.unpack(f"<{len(data) // 8}Q", data) if word < 1000]
        # 61-bit shares are hardly ever small; the opened value 0 is never a message by itself
        assert len(small) <= 3
    assert len(lengths) == 1
