"""A scan whose node is killed goes on, after a restart, behind the blocks that all nodes have: real processes."""

import threading

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import MpcStatsError
from mpcstats.node.genotypes.plink1 import write_bed
from mpcstats.sdk.connected import ConnectedConsortium
from mpcstats.testing.processes import NodeProcess, PartyFiles, ProcessNetwork, make_party_directories

pytestmark = pytest.mark.long

NAMES = ("alpha", "beta", "gamma")
PEOPLE, VARIANTS = 40, 60_000
DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "test"
version = 1
[[column]]
name = "IID"
type = "category"
[[column]]
name = "trait"
type = "decimal"
range = [-10, 10]
"""


def write_site(directory, number):
    rng = np.random.default_rng(number)
    people = [f"p{number}_{k}" for k in range(PEOPLE)]
    calls = rng.integers(-1, 3, (VARIANTS, PEOPLE)).astype(np.int8)
    (directory / "cohort.bed").write_bytes(b"\x6c\x1b\x01" + write_bed(calls))
    (directory / "cohort.bim").write_text("".join(f"1\trs{k}\t0\t{k + 1}\tA\tG\n" for k in range(VARIANTS)))
    (directory / "cohort.fam").write_text("".join(f"0\t{name}\t0\t0\t0\t-9\n" for name in people))
    (directory / "dictionary.toml").write_text(DICTIONARY)
    table = pd.DataFrame({"IID": people, "trait": rng.normal(size=PEOPLE).round(4)})
    table.to_csv(directory / "cohort.csv", index=False)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    dataset = {"table": "cohort.csv", "dictionary": "dictionary.toml", "genotypes": "cohort", "id": "IID"}
    policy = 'apiVersion = "mpcstats/v1"\nkind = "Policy"\nextends = "open"\n'
    files = PartyFiles(datasets={"main": dataset}, policy=policy, run={"patience_seconds": 5})
    directories = make_party_directories(tmp_path_factory.mktemp("scan"), dict.fromkeys(NAMES, files))
    for number, directory in enumerate(directories.values()):
        write_site(directory, number)
    with ProcessNetwork(directories) as running:
        yield running


def asked(network, heard):
    consortium = ConnectedConsortium(network.directories["alpha"], progress=heard)
    return consortium.gwas(phenotype="trait", missing="mean", release="all").to_frame()


def scanned(texts):
    """Variants that were scanned, as told by the progress."""
    told = [text.split()[0].replace(",", "") for text in texts if text.endswith(f"of {VARIANTS:,} variants")]
    return [int(number) for number in told]


@pytest.mark.parametrize("victim", ["beta", "alpha"])
def test_a_killed_node_costs_the_block_it_was_in(network, victim):
    stop, texts = threading.Event(), []

    def heard(text):
        texts.append(text)
        if len(scanned(texts)) == 3:
            stop.set()

    def kill():
        stop.wait(120)
        network[victim].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(MpcStatsError):
        asked(network, heard)
    killer.join()
    assert 3 <= len(scanned(texts)) < 8
    network.nodes[victim] = NodeProcess(network.directories[victim])
    network[victim].wait_ready()
    again = []
    resumed = asked(network, again.append)
    behind = [text for text in again if "goes on behind" in text]
    assert behind, again
    assert int(behind[0].split()[3]) >= 2
    whole = []
    pd.testing.assert_frame_equal(
        resumed, asked(network, whole.append)
    )  # nothing is left of the first scan: it began anew
    assert not [text for text in whole if "goes on behind" in text]
    left = [list((path / "state" / "interrupted").rglob("*.npz")) for path in network.directories.values()]
    assert left == [[], [], []]
