"""What fuzzing found: each was another error than the package's own, a wait without end, or too much memory."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import json
import sqlite3
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from mpcstats.errors import ConfigurationError, DataError, FrameRejected, MpcStatsError, SpecError
from mpcstats.node.bundles.checks import check_bundle, failures
from mpcstats.node.genotypes import open_genotypes
from mpcstats.node.governance.courier import take_entries
from mpcstats.node.ledger.check import _parsed as parse_told
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.canonical import canonical_bytes, parse_moment
from mpcstats.study.files.positions import line_of
from mpcstats.study.files.study import parse_study
from mpcstats.study.lock import parse_proposal
from mpcstats.study.schedule import parse_schedule
from mpcstats.transport.codec import decode
from mpcstats.transport.grpc_channel import GrpcChannel
from tests.fuzz.messages import desk
from tests.fuzz.target import CORPUS, MOST_BYTES, measured


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def test_bytes_that_are_no_frame_end_the_session_and_name_the_sender() -> None:
    async def run() -> None:
        channel = GrpcChannel((b"s" * 16, 1), index=1, parties=("a", "b"), patience_seconds=5)
        frames = iter([decode(b"\xff\xff")])

        async def read() -> Any:
            return next(frames)

        async def write(_frame: Any) -> None:
            return None

        await channel.attach(2, read, write)
        with pytest.raises(FrameRejected) as caught:
            await channel.receive(2, 0, 5)
        assert caught.value.party == "b"

    asyncio.run(run())


@pytest.mark.parametrize("odd", [nested(480), {"text": "\ud800"}, 10**400, 1 << 2000])
def test_what_has_no_canonical_form_says_so(odd: Any) -> None:
    with pytest.raises(SpecError, match="no canonical form"):
        canonical_bytes({"a": odd})


@pytest.mark.parametrize("odd", [nested(480), "\ud800", 10**400])
def test_an_entry_with_such_a_body_does_not_stop_the_exchange_of_entries(odd: Any) -> None:
    plain = json.loads((CORPUS / "entry" / "join-0.json").read_text())
    plain["entry"]["body"] = {"a": odd}
    with pytest.raises(MpcStatsError):
        take_entries(desk(), [json.dumps(plain)], "lakeside")


@pytest.mark.parametrize("odd", [[0], "5", 1.5, None, {}])
def test_a_proposal_whose_rules_are_of_another_type(odd: Any) -> None:
    plain = json.loads((CORPUS / "proposal" / "proposal.json").read_text())
    plain["lock"]["rules"]["westbay"]["minimum_count"] = odd
    with pytest.raises(SpecError, match="rules are not valid"):
        parse_proposal(plain)


def test_a_moment_out_of_range() -> None:
    for text in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        with pytest.raises(SpecError, match="out of range"):
            parse_moment(text)


def test_a_schedule_at_the_end_of_time() -> None:
    found = parse_schedule(
        {"name": "late", "cron": "0 6 1 * *", "starts": datetime.date(9995, 1, 1), "until": datetime.date(9996, 1, 1)}
    )
    assert found.until.year == 9996


def test_an_analysis_whose_name_is_a_list() -> None:
    with pytest.raises(ConfigurationError, match="is no analysis"):
        parse_study({"analysis": {"type": ["count"]}})


@pytest.mark.parametrize("text", ["a = [}", "a = {]", "a = [#", "a = " + "[" * 2000])
def test_lines_of_a_text_that_is_no_toml(text: str) -> None:
    line_of(text, ("a", 0))  # it ends


def test_an_environment_variable_over_a_section_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "party.toml").write_text("network = 1\n")
    with pytest.raises(ConfigurationError, match="network"):
        PartyDirectory(tmp_path, {"MPCSTATS_LISTEN": "0.0.0.0:1"})


def test_a_damaged_gzip_file(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"##fileformat=VCFv4.2\n" * 50, mtime=0))
    packed[11:20] = b"\xff" * 9
    (tmp_path / "calls.vcf.gz").write_bytes(bytes(packed))
    with pytest.raises(DataError):
        open_genotypes(tmp_path / "calls.vcf.gz", "lakeside")


def test_a_ledger_with_text_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "released.sqlite"
    path.write_bytes((CORPUS / "ledger" / "released.sqlite").read_bytes())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE released SET dataset = CAST(x'ff' AS TEXT)")
    database.close()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ReleaseLedger(path, "lakeside").datasets()


TOLD = json.loads((CORPUS / "told_releases" / "two.json").read_text())[0]


@pytest.mark.parametrize(
    "plain", [{}, "", None, [[]], [TOLD | {"shown": list(TOLD["shown"])}], [TOLD | {"sizes": nested(900)}]]
)
def test_a_list_of_earlier_releases_that_is_none(plain: Any) -> None:
    with pytest.raises(FrameRejected):
        parse_told(zlib.compress(json.dumps(plain).encode()), "lakeside")


def test_a_list_of_earlier_releases_is_what_was_told() -> None:
    for plain in ([], [TOLD], [TOLD, TOLD]):
        assert parse_told(zlib.compress(json.dumps(plain).encode()), "lakeside") == plain


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "part",
    [
        "[",
        '{"id": "',
        *(pytest.param(p, marks=pytest.mark.long) for p in ("[],", "{},", "\0", json.dumps(TOLD) + ", ")),
    ],
)
def test_a_list_of_earlier_releases_that_unpacks_to_very_much(part: str) -> None:
    packed = zlib.compress(("[" + part * ((1 << 25) // len(part))).encode(), 1)
    assert len(packed) < 1 << 20
    _, most = measured(lambda: parse_told(packed, "lakeside"))
    assert most < MOST_BYTES


def test_an_outcome_whose_table_points_anywhere() -> None:
    """Arrow reads beyond its memory unless it is asked to look first; now and then the process ended."""
    with pytest.raises(FrameRejected, match="ArrowInvalid"):
        outcome_from_bytes((Path(__file__).parent / "found" / "outcome.bin").read_bytes())


@pytest.mark.parametrize("at", [0, 19, 30, 60, -1])
def test_an_outcome_that_is_none(at: int) -> None:
    data = bytearray((CORPUS / "outcome" / "stream.bin").read_bytes())
    data[at] ^= 0x55
    with pytest.raises(FrameRejected):
        outcome_from_bytes(bytes(data[:-1] if at == -1 else data))


def test_a_bundle_never_raises() -> None:
    data = (CORPUS / "bundle" / "bundle.zip").read_bytes()
    assert not failures(check_bundle(data))
    assert failures(check_bundle(data[:-5]))
