"""Every field of study, approval, roster, manifest, certificate, bundle and audit entry changed; every bit flipped."""

from __future__ import annotations

import copy
import json
import struct
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import BundleInvalid
from mpcstats.node.bundles.archive import compare_zip, read_zip, write_zip
from mpcstats.node.bundles.checks import Check, check_bundle, failures
from mpcstats.node.bundles.parts import INDEX, make_bundle, parse_document, pretty_json
from mpcstats.study.audit import NO_HASH, next_record, record_leaf
from mpcstats.study.certificate import Evidence, LogState, SignedCertificate, sign_certificate
from mpcstats.study.entries import sign_entry
from tests.governance.bundles import NAMES, RUN, Released, released

DOCUMENTS = ("entries.json", "certificate.json", "outcome.json", "study.lock")


@pytest.fixture(scope="module")
def run() -> Released:
    return released()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from leaves(part, (*path, place))
    else:
        yield path


def dotted(path: tuple[Any, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        digits = bool(value) and all(letter in "0123456789abcdef" for letter in value)
        return ("1" if value[:1] != "1" else "2") + value[1:] if digits else value + "x"
    return "x" if value is None else {"x": 1} if isinstance(value, dict) else ["x"]


def with_change(plain: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(plain)
    place = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = other(place[path[-1]])
    return changed


def first_failure(data: bytes, run: Released, trusted: bool = True) -> Check | None:
    return next(iter(failures(check_bundle(data, run.roster if trusted else None))), None)


def test_the_bundle_holds_and_is_the_same_when_written_again(run: Released) -> None:
    checks = check_bundle(run.bundle, run.roster)
    assert [check for check in checks if not check.passed] == []
    assert make_bundle(run.parts, run.keys["westbay"], "westbay") == run.bundle
    with zipfile.ZipFile(BytesIO(run.bundle)) as archive:  # other programs read it
        assert archive.testzip() is None
        assert archive.read("outcome.json") == read_zip(run.bundle)["outcome.json"]


@pytest.mark.parametrize("name", [*DOCUMENTS, "study.toml", "roster.toml"])
def test_each_field_of_each_document_is_named_when_it_was_changed(run: Released, name: str) -> None:
    """By somebody who has no key, but writes a new zip file around it."""
    files = read_zip(run.bundle)
    plain = parse_document(name, files[name])
    for path in leaves(plain):
        changed = (
            _toml_change(files[name], plain, path) if name.endswith(".toml") else pretty_json(with_change(plain, path))
        )
        found = first_failure(write_zip({**files, name: changed}), run)
        assert found is not None, path
        assert (found.file, found.field) == (name, dotted(path))


def _toml_change(content: bytes, plain: Any, path: tuple[Any, ...]) -> bytes:
    """Change a field's value in the text; certificates in a letter of their second line."""
    value = plain
    for part in path:
        value = value[part]
    text = content.decode()
    if isinstance(value, str) and "BEGIN CERTIFICATE" in value:
        line = value.splitlines()[2]
        return text.replace(line, line[:-1] + ("A" if line[-1] != "A" else "B"), 1).encode()
    key = path[-1] if isinstance(path[-1], str) else path[-2]
    start = 0
    for part in path:
        if isinstance(part, int) and path[0] == "party":
            for _ in range(part + 1):
                start = text.index("[[party]]", start) + 1
    at = text.index(f"{key} =", start)
    end = text.index("\n", at)
    line = text[at:end].split("   #")[0]
    if key == "expires":
        new = line.replace("2099", "2098")
    elif line.endswith('"') or line.endswith('"]'):
        new = line.replace('"', '"x', 1)
    else:
        new = line[:-1] + ("1" if line[-1] != "1" else "2")
    assert new != line
    return (text[:at] + new + text[at + len(line) :]).encode()


def test_each_field_of_the_index_is_refused(run: Released) -> None:
    files = read_zip(run.bundle)
    plain = json.loads(files[INDEX])
    for number, path in enumerate(leaves(plain)):
        if path[0] == "fields" and number % 41:
            continue  # they are all alike
        found = first_failure(write_zip({**files, INDEX: pretty_json(with_change(plain, path))}), run)
        assert found is not None, path
        # a digest in the index contradicts its file; all else the signature of the whole
        assert found.file == (path[1] if path[0] == "files" else INDEX), path
    spelled = json.dumps(plain, sort_keys=True).encode()
    assert first_failure(write_zip({**files, INDEX: spelled}), run).field == "spelling"


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_party_that_writes_a_bundle_of_its_own_cannot_change_what_others_signed(
    run: Released, name: str, step: int
) -> None:
    """The index is right and signed: what is refused is refused for what it says."""
    plain = parse_document(name, read_zip(run.bundle)[name])
    for path in list(leaves(plain))[::step]:
        if name == "outcome.json" and path[0] == "run" and path[1] in _NOT_CERTIFIED:
            continue
        found = first_failure(run.repacked(name, pretty_json(with_change(plain, path))), run)
        assert found is not None, path
        assert found.file == name or (name == "entries.json" and found.file in {"study.lock", "study.toml"}), path
        if name == "study.lock":
            assert found.field.startswith(dotted(path))
        if name == "certificate.json" and path[0] == "certificate":
            # named by the roster, the study or the result where one of them has it; else by the signature
            assert found.field.split(" ")[0].startswith(("certificate.", "signatures.")), path


# What the account of a run tells beside what is certified: how long it took and what it cost.
_NOT_CERTIFIED = {"seconds", "rounds", "bytes_sent"}


def test_a_changed_study_file_is_refused_though_the_index_is_right(run: Released) -> None:
    files = read_zip(run.bundle)
    plain = parse_document("study.toml", files["study.toml"])
    for path in leaves(plain):
        found = first_failure(run.repacked("study.toml", _toml_change(files["study.toml"], plain, path)), run)
        assert found is not None
        assert (found.file, found.field) == ("study.toml", dotted(path))


def test_another_roster_is_refused_with_the_field(run: Released) -> None:
    files = read_zip(run.bundle)
    plain = parse_document("roster.toml", files["roster.toml"])
    for path in leaves(plain):
        data = run.repacked("roster.toml", _toml_change(files["roster.toml"], plain, path))
        for trusted in (True, False):  # without --roster the certificate names the roster
            found = first_failure(data, run, trusted)
            assert found is not None, path
            assert found.file in {"roster.toml", "certificate.json"}
            if trusted and found.field:
                assert found.field == dotted(path)


# ---- what all or some parties would sign together -------------------------------------------------------------------


def resigned(run: Released, fields: dict[str, Any]) -> bytes:
    """Every party signs another certificate, and makes up an audit log that fits it."""
    certificate, evidence = run.certificate.certificate.model_copy(update=fields), dict(run.certificate.evidence)
    if "audit" not in fields:
        for name in NAMES:
            conditions = {
                "run": certificate.run,
                "study_digest": certificate.session,
                "values_opened": sum(entry.opened for entry in certificate.manifest),
            }
            time = evidence[name].record.time
            record = next_record(
                0,
                NO_HASH,
                party=name,
                time=time,
                actor="node",
                event="run-certified",
                study=certificate.study,
                conditions=conditions,
            )
            evidence[name] = Evidence(record=record, proof=())
        audit = {name: LogState(size=1, root=record_leaf(evidence[name].record).hex()) for name in NAMES}
        certificate = certificate.model_copy(update={"audit": audit})
    signatures = {name: sign_certificate(run.keys[name], certificate) for name in NAMES}
    signed = SignedCertificate(certificate=certificate, signatures=signatures, evidence=evidence)
    return run.repacked("certificate.json", pretty_json(signed.model_dump(mode="json")))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run", "ef" * 16),
        ("study", "12" * 32),
        ("study", ""),
        ("lock", "12" * 32),
        ("lock", ""),
        ("roster", "12" * 32),
        ("roster_version", 2),
        ("consortium", "other"),
        ("occurrence", "2027-01-01T06:00:00Z"),
        ("software", {"mpcstats": "9.9"}),
        ("session", "12" * 32),
        ("analysis", "crosstab"),
        ("request", "12" * 32),
        ("threshold", 0),
        ("parties", ("lakeside", "westbay", "northfield")),
        ("data_parties", ("westbay",)),
        ("openings", "12" * 32),
        ("outcome", "12" * 32),
        ("masked_openings", 77),
        ("kappa_total", "12.00"),
        ("audit", {}),
    ],
)
def test_even_all_signatures_do_not_make_a_certificate_fit_another_run(run: Released, field: str, value: Any) -> None:
    found = first_failure(resigned(run, {field: value}), run)
    assert found is not None
    assert found.file in {"certificate.json", "outcome.json", "entries.json"}
    if field not in {"run", "study"}:
        assert field in f"{found.field} {found.detail}" or found.file == "outcome.json"


def test_more_opened_than_approved_is_refused(run: Released) -> None:
    (first, *rest) = run.certificate.certificate.manifest
    more = first.model_copy(update={"opened": first.opened + 1, "declared": first.declared + 1})
    found = first_failure(resigned(run, {"manifest": (more, *rest)}), run)
    assert (found.file, found.field) == ("certificate.json", f"certificate.manifest {first.name!r}")
    rules = dict(run.certificate.certificate.rules)
    rules["minimum_count"] = rules["minimum_count"].model_copy(update={"value": 5})
    found = first_failure(resigned(run, {"rules": rules}), run)
    assert (found.file, found.field) == ("certificate.json", "certificate.rules.minimum_count")


def entries_bundle(run: Released, keep: Any) -> bytes:
    kept = [entry for entry in run.entries if keep(entry.entry)]
    return run.repacked("entries.json", pretty_json([entry.model_dump(mode="json") for entry in kept]))


@pytest.mark.parametrize(
    ("action", "party", "says"),
    [
        ("join", "northfield", "northfield did not sign the roster"),
        ("propose", "lakeside", "no proposal"),
        ("approve", "lakeside", "no approval of lakeside"),
        ("release", "westbay", "not released by westbay"),
    ],
)
def test_what_is_missing_is_named(run: Released, action: str, party: str, says: str) -> None:
    data = entries_bundle(run, lambda entry: (entry.action, entry.party) != (action, party))
    found = first_failure(data, run)
    assert found.file == "entries.json"
    assert says in found.detail


def added(run: Released, **changes: Any) -> bytes:
    """Lakeside writes one more entry."""
    last = [entry for entry in run.entries if entry.entry.party == "lakeside"][-1]
    entry = last.entry.model_copy(
        update={"number": last.entry.number + 1, "previous": last.digest, "body": {"reason": "no"}, **changes}
    )
    entry = type(entry).model_validate(entry.model_dump())
    rows = [*run.entries, sign_entry(entry, run.keys["lakeside"])]
    return run.repacked("entries.json", pretty_json([row.model_dump(mode="json") for row in rows]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"action": "withdraw", "body": {"reason": "no", "what": "approval"}}, "revoked"),
        ({"action": "reject"}, "rejected"),
        ({"action": "withdraw", "body": {"what": "proposal", "reason": "no"}}, "withdrawn"),
        ({"action": "withhold", "body": {"run": RUN, "reason": "no"}}, "not released by lakeside"),
        ({"action": "comment", "previous": "12" * 32}, "does not follow"),
        ({"action": "comment", "number": 2}, "two entries 2"),
        ({"action": "comment", "consortium": "other"}, "another consortium or roster"),
        ({"action": "comment", "roster": "12" * 32}, "another consortium or roster"),
    ],
)
def test_entries_that_take_back_or_contradict_are_heard(run: Released, changes: dict[str, Any], says: str) -> None:
    assert says in first_failure(added(run, **changes), run).detail


def test_an_approval_that_ran_out_before_the_run_is_none(run: Released) -> None:
    data = added(run, action="approve", body={"until": "2026-01-01T00:00:00Z"})
    assert "no approval of lakeside" in first_failure(data, run).detail


def test_a_replayed_entry_and_a_foreign_signature_are_refused(run: Released) -> None:
    rows = [row.model_dump(mode="json") for row in run.entries]
    assert "twice" in first_failure(run.repacked("entries.json", pretty_json([*rows, rows[-1]])), run).detail
    rows[4]["signature"] = rows[5]["signature"]
    found = first_failure(run.repacked("entries.json", pretty_json(rows)), run)
    assert found.field == "[4].signature"


@pytest.mark.parametrize("name", ["certificate.json", "entries.json", "roster.toml", "outcome.json", "methods.md"])
def test_a_missing_file_is_named(run: Released, name: str) -> None:
    assert first_failure(run.repacked(name, None), run).file == name


def test_tables_text_and_strange_files_are_compared(run: Released) -> None:
    for name in ("tables/counts.csv", "methods.md"):
        content = read_zip(run.bundle)[name]
        assert first_failure(run.repacked(name, content + b"x"), run).file == name
    assert first_failure(run.repacked("setup.exe", b"x"), run).file == "setup.exe"
    assert first_failure(run.repacked("tables/other.csv", b"x"), run).file == "tables/other.csv"


# ---- every bit ------------------------------------------------------------------------------------------------------


def flip(run: Released, places: range) -> None:
    data = run.bundle
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        found = first_failure(bytes(changed), run)
        assert found is not None, place
        assert found.file or found.detail, place
        owner = _owner(data, place)
        if owner:
            assert owner in {found.file, *found.detail.split(" ")} or "member" in found.file + found.detail, place


def _owner(data: bytes, place: int) -> str:
    """The member whose content the byte belongs to; "" for other bytes."""
    offset = 0
    for name, content in read_zip(data).items():
        start = offset + 30 + len(name)
        if start <= place < start + len(content):
            return name
        offset = start + len(content)
    return ""


def test_a_flipped_bit_is_found_in_the_structure_and_all_over(run: Released) -> None:
    data = run.bundle
    flip(run, range(0, len(data), 257))
    flip(run, range(80))
    directory = struct.unpack_from("<L", data, len(data) - 6)[0]
    flip(run, range(directory, len(data), 7))


@pytest.mark.long
def test_every_sixteenth_flipped_bit_is_found(run: Released) -> None:
    flip(run, range(0, len(run.bundle), 16))


@pytest.mark.exhaustive
def test_each_flipped_bit_is_found(run: Released) -> None:
    flip(run, range(len(run.bundle)))


def test_a_flipped_bit_in_a_document_names_the_field(run: Released) -> None:
    data = run.bundle
    place = data.index(b'"openings": "') + len(b'"openings": "')
    changed = bytearray(data)
    changed[place] = ord("0") if changed[place] != ord("0") else ord("1")
    found = first_failure(bytes(changed), run)
    assert (found.file, found.field) == ("certificate.json", "certificate.openings")


@pytest.mark.parametrize("cut", [0, 1, 21, 22, 100, 5000])
def test_a_cut_or_longer_file(run: Released, cut: int) -> None:
    shorter = run.bundle[: len(run.bundle) - cut] if cut else run.bundle + b"\0"
    assert first_failure(shorter, run) is not None
    assert first_failure(run.bundle[cut + 1 :], run) is not None


# ---- hostile zip files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a\\b", "c:x", "", ".hidden", "a//b", "x" * 200, "é"]
)
def test_names_that_leave_the_folder_are_refused(run: Released, name: str) -> None:
    with pytest.raises(BundleInvalid, match="no name"):
        write_zip({name: b"x"})
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    assert first_failure(buffer.getvalue(), run) is not None


def test_compressed_linked_doubled_and_huge_members_are_refused(run: Released) -> None:
    compressed, linked, doubled = BytesIO(), BytesIO(), BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.json", b"0" * 10_000_000)
    link = zipfile.ZipInfo("link.json", (1980, 1, 1, 0, 0, 0))
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(linked, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(doubled, "w") as archive:
        archive.writestr("a.json", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.json", b"2")
    for buffer in (compressed, linked, doubled):
        assert first_failure(buffer.getvalue(), run) is not None
    with pytest.raises(BundleInvalid, match="directory"):
        compare_zip(linked.getvalue(), {"link.json": b"/etc/passwd"})
    with pytest.raises(BundleInvalid, match="too many"):
        write_zip({f"f{number}": b"" for number in range(1001)})
    claims = bytearray(write_zip({"a": b"x"}))
    claims[22:26] = struct.pack("<L", 2**31)
    assert first_failure(bytes(claims), run).file == "the header of member 1"


def test_rubbish_is_refused(run: Released) -> None:
    for data in (
        b"",
        b"PK\x05\x06" + bytes(18),
        b"x" * 1000,
        b"PK\x03\x04" * 50,
        write_zip({}),
        write_zip({INDEX: b"["}),
    ):
        assert first_failure(data, run) is not None
    deep = b"[" * 100_000
    for name in DOCUMENTS:
        assert first_failure(run.repacked(name, deep), run) is not None


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_prints_the_checks_and_exits_with_6(run: Released, tmp_path: Path) -> None:
    import subprocess
    import sys

    good, bad, roster = tmp_path / "good.zip", tmp_path / "bad.zip", tmp_path / "roster.toml"
    good.write_bytes(run.bundle)
    files = read_zip(run.bundle)
    bad.write_bytes(write_zip({**files, "methods.md": b"# Other"}))
    roster.write_text(run.roster.to_toml())
    done = CliRunner().invoke(app, ["verify", str(good), "--roster", str(roster)])
    assert done.exit_code == 0, done.output
    assert "FAILED" not in done.output
    lines = json.loads(CliRunner().invoke(app, ["verify", str(good), "--json"]).output)
    assert all(line["passed"] for line in lines)
    failed = subprocess.run(
        [sys.executable, "-m", "mpcstats.cli.main", "verify", str(bad)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert failed.returncode == 6
    assert "methods.md" in failed.stderr
    assert "FAILED" in failed.stdout
