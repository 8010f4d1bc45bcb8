"""README's Python runs as it stands there, from a clone."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


def test_the_python_of_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    embedded, through_a_node = block.split("# the same calls through one's own node")
    assert "ms.connect(" in through_a_node
    (tmp_path / "parties").symlink_to(ROOT / "parties")
    monkeypatch.chdir(tmp_path)
    exec(compile(embedded, "README.md", "exec"), {})
    assert "0.95LCL" in capsys.readouterr().out
    assert len(pd.read_csv("out/y1.glm.linear", sep="\t")) == 1000
    assert Path("out/survival.png").exists()
