"""mpcstats/wire is what protos/ says."""

import importlib.machinery
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROTOS = sorted((ROOT / "protos").rglob("*.proto"))

pytest.importorskip("grpc_tools", reason="grpcio-tools regenerates the code")


@pytest.fixture
def script():
    loader = importlib.machinery.SourceFileLoader("proto_script", str(ROOT / "scripts" / "proto"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_the_generated_code_is_up_to_date():
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "proto", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_a_change_is_noticed(script, tmp_path, monkeypatch):
    copy = tmp_path / "wire"
    shutil.copytree(script.WIRE, copy)
    monkeypatch.setattr(script, "WIRE", copy)
    generated = script.generate()
    assert script.stale(generated) == []
    file = copy / "transport_pb2.py"
    file.write_text(file.read_text().replace("# Protobuf Python Version: ", "# Protobuf Python Version: 9."))
    assert script.stale(generated) == []  # another release of the tools
    file.write_text(file.read_text().replace("session_id", "session_no"))
    assert script.stale(generated) == ["transport_pb2.py"]
    (copy / "node_pb2.pyi").unlink()
    (copy / "left_over_pb2.py").write_text("")
    assert script.stale(generated) == ["left_over_pb2.py", "node_pb2.pyi", "transport_pb2.py"]


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.name)
def test_every_message_field_and_call_is_explained_and_nothing_is_a_float(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    declaration = re.compile(r"\s*(message|service|rpc|oneof|repeated|[A-Za-z0-9.]+ \w+ = \d+;)")
    for number, line in enumerate(lines):
        if declaration.match(line):
            assert lines[number - 1].strip().startswith("//"), f"{path.name}:{number + 1}: {line.strip()}"
        assert not re.match(r"\s*(repeated )?(float|double) ", line)
