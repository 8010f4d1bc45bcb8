"""The command line: what people type, what they get, exit codes."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app, main
from mpcstats.errors import ConfigurationError, MpcStatsError, SpecError
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.study.analyses import ANALYSES
from mpcstats.study.analyses.association import GwasSpec
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.analyses.survival import KaplanMeierSpec, LogrankSpec

runner = CliRunner()


def run(*arguments, code=0, input=None):
    """Run in this process; an error of ours leaves as an exception, others as an exit code."""
    result = runner.invoke(app, [str(argument) for argument in arguments], input=input)
    if isinstance(result.exception, MpcStatsError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_help_is_quick_and_loads_nothing_heavy():
    script = (
        "import sys, time; start = time.monotonic(); sys.argv = ['mpcstats', '--help']\n"
        "from mpcstats.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'numpy', 'pandas', 'grpc', 'numba', 'matplotlib', 'scipy', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.stderr.write(str(time.monotonic() - start))"
    )
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seconds.append(float(done.stderr))
        for name in ("party", "consortium", "run", "version"):
            assert name in done.stdout
    assert min(seconds) < 1.5  # 0.3 s on an idle machine


def test_version_and_unknown_commands():
    assert run("version").startswith("mpcstats ")
    assert run("--version") == run("version")
    run("dance", code=2)
    run("party", "dance", code=2)
    run("party", "init", code=2)
    run("party", "status", code=2)
    run("run", "kaplan-meier", "--party", "x", "--time", "t", code=2)  # no --event
    run("run", "count", "--party", "x", "--colour", "red", code=2)


def three_parties(root):
    for number, name in enumerate(("northfield", "lakeside", "westbay")):
        role = "compute" if name == "westbay" else "data"
        listen = f"127.0.0.1:{4711 + number}"
        assert name in run("party", "init", root / name, "--name", name, "--listen", listen, "--role", role)
        (root / f"{name}.card.toml").write_text(run("party", "card", root / name))
    return [root / f"{name}.card.toml" for name in ("northfield", "lakeside", "westbay")]


def test_from_three_cards_to_a_consortium(tmp_path):
    cards = three_parties(tmp_path)
    roster = tmp_path / "demo.roster.toml"
    shown = run("consortium", "new", "demo", *cards, "-o", roster)
    words = [line.strip() for line in shown.splitlines() if line.count("-") == 11]
    assert len(set(words)) == 3
    joined = run("consortium", "join", roster, "--party", tmp_path / "lakeside", "--yes")
    assert all(word in joined for word in words)
    directory = PartyDirectory(tmp_path / "lakeside", {})
    assert directory.roster().data_parties == ("northfield", "lakeside")
    with pytest.raises(ConfigurationError, match="exists"):
        run("consortium", "new", "demo", *cards, "-o", roster)
    # no terminal, no --yes
    with pytest.raises(ConfigurationError, match="must be compared"):
        run("consortium", "join", roster, "--party", tmp_path / "northfield")
    assert not (tmp_path / "northfield" / "roster.toml").exists()
    # an older roster does not replace a newer one
    newer = tmp_path / "newer.toml"
    run("consortium", "new", "demo", *cards, "-o", newer, "--version", "2")
    run("consortium", "join", newer, "--party", tmp_path / "lakeside", "--yes")
    with pytest.raises(ConfigurationError, match="version 1"):
        run("consortium", "join", roster, "--party", tmp_path / "lakeside", "--yes")


def test_a_roster_without_the_own_key_is_refused(tmp_path):
    cards = three_parties(tmp_path)
    run("party", "init", tmp_path / "stranger", "--name", "stranger")
    run("consortium", "new", "demo", *cards, "-o", tmp_path / "roster.toml")
    with pytest.raises(ConfigurationError, match="does not contain this party's key"):
        run("consortium", "join", tmp_path / "roster.toml", "--party", tmp_path / "stranger", "--yes")


def test_errors_are_a_sentence_a_code_and_the_next_step(tmp_path, monkeypatch, capfd):
    run("party", "init", tmp_path / "p", "--name", "northfield")
    cards = three_parties(tmp_path)
    cases = [
        (("party", "start", tmp_path / "nowhere"), 2, "E1100", "party init"),
        (("party", "init", tmp_path / "q", "--name", "North Field"), 2, "E1100", "cannot name a party"),
        (("party", "init", tmp_path / "p", "--name", "northfield"), 2, "E1100", "exists"),
        (("party", "start", tmp_path / "p"), 2, "E1100", "consortium join"),
        (("party", "status", tmp_path / "p"), 5, "E1401", "party start"),
        (("run", "count", "--party", tmp_path / "p"), 5, "E1401", "party start"),
        (
            ("run", "kaplan-meier", "--party", tmp_path / "p", "--time", "t", "--event", "e", "--conf-level", "2"),
            2,
            "E1201",
            "conf_level",
        ),
        (("party", "init", tmp_path / "r", "--name", "rr", "--listen", "0.0.0.0:4710"), 2, "E1100", "--advertise"),
        (("consortium", "new", "demo", *cards, "-o", tmp_path / "none" / "roster.toml"), 2, "E1100", "No such file"),
        (("run", "count", "--party", tmp_path / "p", "--out", tmp_path), 2, "E1100", "is a folder"),
        (("run", "count", "--party", tmp_path / "p", "--out", cards[0] / "x"), 2, "E1100", "exists"),
    ]
    for arguments, code, error, says in cases:
        monkeypatch.setattr(sys, "argv", ["mpcstats", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capfd.readouterr()
        assert caught.value.code == code, printed.err
        assert error in printed.err
        assert says in printed.err
        assert "Traceback" not in printed.err
        assert printed.out == ""


def test_the_next_step_makes_a_lost_key_anew(tmp_path):
    run("party", "init", tmp_path / "p", "--name", "northfield")
    for file in (tmp_path / "p" / "keys").iterdir():
        file.unlink()
    with pytest.raises(ConfigurationError) as caught:
        run("party", "card", tmp_path / "p")
    assert caught.value.hint == f"mpcstats party init {tmp_path / 'p'}"
    run(*caught.value.hint.split()[1:])
    assert "northfield" in run("party", "card", tmp_path / "p")


def asked(monkeypatch, *arguments):
    """The request that `mpcstats run` makes of its arguments."""
    requests = []

    class Client:
        def __init__(self, _party):
            pass

        def run(self, spec, _progress):
            requests.append(spec)
            raise MpcStatsError("enough")

    monkeypatch.setattr("mpcstats.sdk.connect.NodeClient", Client)
    with pytest.raises(MpcStatsError, match="enough"):
        run("run", *arguments, "--party", "x")
    return requests[0]


def test_options_become_the_fields_of_the_request(monkeypatch):
    count = asked(monkeypatch, "count", "--by", "sex", "--by", "stage", "--where", "age > 3", "--dataset", "d")
    assert count == CountSpec(by=("sex", "stage"), where="age > 3", dataset="d")
    assert asked(monkeypatch, "count") == CountSpec()
    options = ["--time", "t", "--event", "e", "--event-value", "2", "--event-value", "dead", "--time-unit", "0.5"]
    curve = asked(monkeypatch, "kaplan-meier", *options, "--missing", "drop", "--policy", "standard")
    assert curve == KaplanMeierSpec(
        time="t", event="e", event_values=(2, "dead"), time_unit=0.5, missing="drop", policy="standard"
    )
    assert curve.event_values == (2, "dead")
    assert isinstance(curve.event_values[0], int)
    columns = ["--time", "t", "--event", "e"]
    readings = ["--times", "365", "--times", "90", "--quantile", "0.25", "--tau", "365", "--reference", "2"]
    curve = asked(monkeypatch, "kaplan-meier", *columns, *readings, "--strata", "sex", "--entry", "start")
    assert curve == KaplanMeierSpec(
        time="t", event="e", times=(90, 365), quantiles=(0.25,), tau=365, reference=2, strata=("sex",), entry="start"
    )
    assert asked(monkeypatch, "kaplan-meier", *columns, "--tau", "common").tau == "common"
    tests = ["--weights", "gehan-breslow", "--trend-score", "1", "--trend-score", "5", "--pairwise", "holm"]
    test = asked(monkeypatch, "logrank", *columns, "--by", "g", *tests, "--trend", "--mode", "statistic")
    assert test == LogrankSpec(
        time="t",
        event="e",
        by="g",
        weights="wilcoxon",
        trend=True,
        trend_scores=(1, 5),
        pairwise="holm",
        mode="statistic",
    )
    gwas = asked(monkeypatch, "gwas", "--phenotype", "Y", "--covariate", "A", "--covariate", "B")
    assert gwas == GwasSpec(phenotype="Y", covariates=("A", "B"))


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_analysis_is_a_command_with_help_for_each_option(name):
    shown = run("run", name, "--help")
    assert ANALYSES[name].summary.split()[0] in shown
    for field, info in ANALYSES[name].spec.model_fields.items():
        assert field == "type" or info.description, f"{name}: no text under {field}"


def test_a_request_in_a_file(monkeypatch, tmp_path):
    spec = LogrankSpec(time="t", event="e", by="sex")
    (tmp_path / "a.json").write_text(spec.model_dump_json())
    (tmp_path / "a.toml").write_text('type = "logrank"\ntime = "t"\nevent = "e"\nby = "sex"\n')
    for file in ("a.json", "a.toml"):
        assert asked(monkeypatch, "spec", tmp_path / file) == spec
    for text, complaint in (("[]", "no request"), ("{", "neither JSON"), ('{"type": "x"}', "one of the analyses")):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(SpecError, match=complaint):
            run("run", "spec", tmp_path / "b.json", "--party", "x")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        run("run", "spec", tmp_path / "none.json", "--party", "x")
