"""Overlap between sites from Python."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DataError, SpecError

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "genotype"


def site(*numbers: int, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"person": [f"p{k}" for k in numbers], "x": 1.0} | columns)


def test_two_institutions() -> None:
    parties = {
        "north": ms.Dataset(site(*range(20)), id="person"),
        "south": ms.Dataset(site(*range(17, 33)), id="person"),
    }
    with ms.local(parties) as consortium:
        found = consortium.sample_overlap(rows=20)
        assert found.table.to_numpy().tolist() == [["north", "south", 3, "released"]]
        assert "north" in found.summary()
        with pytest.raises(DataError, match="20 people, where the study has room for 16") as caught:
            consortium.sample_overlap(rows=7)
        assert caught.value.party == "north"
        with pytest.raises(SpecError):
            consortium.sample_overlap(rows=0)
        with pytest.raises(SpecError, match="more than can be merged"):
            consortium.sample_overlap(rows=200_000)


def test_hidden_pairs_are_said_to_be() -> None:
    parties = {name: ms.Dataset(site(*range(k, k + 12)), id="person") for k, name in enumerate(("a", "b", "c"))}
    with ms.local(parties, policy="standard") as consortium:
        found = consortium.sample_overlap(rows=16)
    assert found.table["count"].fillna(0).tolist() == [15, 0, 15]  # 11, 10, 11
    assert "suppressed" in found.summary()
    assert "1 of 3 pairs hidden" in found.withheld[0]


def test_where_ids_come_from() -> None:
    def refused(*tables: object) -> str:
        with ms.local(dict(zip("abc", tables, strict=True))) as consortium, pytest.raises(DataError) as caught:  # type: ignore[arg-type]
            consortium.sample_overlap(rows=16)
        return str(caught.value)

    plain = site(1, 2)
    assert "no column that says who is who" in refused(plain, plain, plain)
    named = plain.rename(columns={"person": "IID"})
    missing = named.assign(IID=["1", None])
    assert "party c: 1 rows have no id in column 'IID'" in refused(named, named, missing)
    with ms.local(
        {"a": named, "b": ms.Dataset(plain, id="person"), "c": site().rename(columns={"person": "IID"})}
    ) as c:
        assert c.sample_overlap(rows=16).table["count"].tolist() == [2, 0, 0]


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "hapmap3").exists(), reason="needs hapmap3 and kg_phase1, which are not shipped")
def test_hapmap_and_1000_genomes() -> None:
    files = {"hapmap": SHARED / "hapmap3" / "hm3_overlap.fam", "kg": SHARED / "kg_phase1" / "kg_overlap.fam"}
    tables = {
        name: pd.read_csv(path, sep=r"\s+", header=None, dtype=str)[[1]].rename(columns={1: "IID"})
        for name, path in files.items()
    }
    assert len(set(tables["hapmap"]["IID"]) & set(tables["kg"]["IID"])) == 564
    with ms.local({name: ms.Dataset(table, id="IID") for name, table in tables.items()}) as consortium:
        assert consortium.sample_overlap(rows=1092).table["count"].tolist() == [564]
