"""The local query of a count at one site: a Parquet file of synthetic people, each query in a process of its own.

scripts/bench counts                        ten million rows
scripts/bench counts --rows 1000000 --in-memory
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mpcstats.node.records import cells
from mpcstats.node.records.cells import cell_counts
from mpcstats.node.records.source import Dataset, load
from mpcstats.study.dictionary import Dictionary, parse_dictionary

SEED = 20241122
BLOCK = 1_000_000
COLUMNS = [
    {"name": "person_id", "type": "category"},
    {"name": "age", "type": "integer", "range": [18, 110]},
    {"name": "sex", "type": "category", "levels": ["F", "M"]},
    {"name": "stage", "type": "category", "levels": ["I", "II", "III", "IV"]},
    {"name": "sbp", "type": "decimal", "range": [60, 260]},
    {"name": "admitted", "type": "date", "range": ["2000-01-01", "2029-12-31"]},
    {"name": "death", "type": "boolean"},
]
QUERIES: dict[str, tuple[str | None, list[str], bool, bool]] = {
    # filter, breakdown, people are counted by person_id, the table's rows are identified by person_id
    "age, sex; by stage": ("age >= 65 and sex == 'F'", ["stage"], False, False),
    "age, pressure / 10, year of a date; by sex, stage, death": (
        "age between 40 and 79 and sbp / 10 > 12 and year(admitted) >= 2015",
        ["sex", "stage", "death"],
        False,
        False,
    ),
    "age; by sex; ids checked": ("age >= 65", ["sex"], False, True),
    "age; by sex; people counted once": ("age >= 65", ["sex"], True, False),
}


def make_file(path: Path, rows: int) -> None:
    """Synthetic people, one row each, a few values missing."""
    draw = np.random.default_rng(SEED)
    writer = None
    for start in range(0, rows, BLOCK):
        size = min(BLOCK, rows - start)
        days = pa.array(draw.integers(11_000, 20_000, size).astype(np.int32)).cast(pa.date32())
        table = pa.table(
            {
                "person_id": pa.array([f"P{number:09d}" for number in draw.permutation(size) + start]),
                "age": pa.array(draw.integers(18, 100, size), mask=draw.random(size) < 0.02),
                "sex": pa.array(draw.choice(["F", "M"], size)),
                "stage": pa.array(draw.choice(["I", "II", "III", "IV"], size), mask=draw.random(size) < 0.05),
                "sbp": pa.array(np.round(draw.normal(135, 20, size).clip(60, 260), 1), mask=draw.random(size) < 0.03),
                "admitted": days,
                "death": pa.array(draw.random(size) < 0.1),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def measure(path: Path, query: str, in_memory: bool) -> None:
    """Open the file, check and count; seconds and memory above that of an idle process, as JSON."""
    where, by, by_person, with_ids = QUERIES[query]
    dictionary = _dictionary(by_person)
    cell_counts(load(path.with_name("one.parquet"), "site", dictionary), dictionary, where, [], [], "site")  # imports
    idle, idle_memory = resource.getrusage(resource.RUSAGE_SELF), _peak_memory()
    started = time.perf_counter()
    records = load(Dataset(path, id="person_id" if with_ids else None), "site", dictionary)
    count = cells._from_memory if in_memory else cell_counts
    counts, _ = count(records, dictionary, where, by, [dictionary.column(name).levels or () for name in by], "site")
    seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    busy = used.ru_utime + used.ru_stime - idle.ru_utime - idle.ru_stime
    peak = _peak_memory() - idle_memory
    print(json.dumps({"seconds": seconds, "busy": busy, "peak": peak, "people": int(counts.sum())}))


def _peak_memory() -> float:
    """In MB; ru_maxrss would be that of the parent until it is passed."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1000


def _dictionary(by_person: bool) -> Dictionary:
    return parse_dictionary(
        {"id": "bench", "column": COLUMNS, **({"unit_of_count": "person_id"} if by_person else {})}, "bench"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--in-memory", action="store_true", help="also the way through pandas")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        measure(Path(given.child[0]), given.child[1], given.child[2] == "memory")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.parquet"
        make_file(path, given.rows)
        make_file(path.with_name("one.parquet"), 1)
        print(
            f"| {given.rows:,} rows, a file of {path.stat().st_size / 1e6:.0f} MB | seconds | of all cores | peak MB |"
        )
        print("|---|---:|---:|---:|")
        for way in ["file", *(["memory"] if given.in_memory else [])]:
            for query in QUERIES:
                command = [sys.executable, __file__, "--child", str(path), query, way]
                runs = [
                    json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                    for _ in range(given.passes)
                ]
                median = {name: statistics.median(run[name] for run in runs) for name in ("seconds", "busy", "peak")}
                name = query if way == "file" else f"{query}; in memory"
                print(f"| {name} | {median['seconds']:.2f} | {median['busy']:.2f} | {median['peak']:.0f} |", flush=True)
    print(
        f"\nDuckDB {duckdb.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {given.passes} passes."
    )


if __name__ == "__main__":
    main()
