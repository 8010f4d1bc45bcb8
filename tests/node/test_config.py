import pytest

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_keys, create_party, make_card
from mpcstats.study.policy import Policy

GOOD = """\
apiVersion = "mpcstats/v1"
kind = "Party"
name = "northfield"
role = "data"
operator = "Northfield Hospital"
[network]
listen = "127.0.0.1:4710"
advertise = "mpc.northfield.example:4710"
[datasets.main]
table = "data/cohort.csv"
dictionary = "dictionary.toml"
genotypes = "/mnt/chr10"
[run]
patience_seconds = 12
"""


def read(tmp_path, text, environment=None):
    (tmp_path / "party.toml").write_text(text, encoding="utf-8")
    return PartyDirectory(tmp_path, environment or {})


def test_a_good_file(tmp_path):
    directory = read(tmp_path, GOOD)
    assert directory.config.run.patience_seconds == 12
    assert directory.config.run.queue_seconds == 600
    main = directory.dataset("main")
    assert main.table == tmp_path / "data" / "cohort.csv"
    assert str(main.genotypes) == "/mnt/chr10"
    with pytest.raises(SpecError, match="no data set 'other'") as caught:
        directory.dataset("other")
    assert caught.value.party == "northfield"


def test_the_environment_wins(tmp_path):
    directory = read(
        tmp_path,
        GOOD,
        {
            "MPCSTATS_LISTEN": "0.0.0.0:5000",
            "MPCSTATS_ADVERTISE": "other.example:5000",
            "MPCSTATS_PATIENCE_SECONDS": "3.5",
            "MPCSTATS_LOG_LEVEL": "debug",
        },
    )
    assert directory.config.network.listen == "0.0.0.0:5000"
    assert directory.config.network.advertise == "other.example:5000"
    assert directory.config.run.patience_seconds == 3.5
    assert directory.config.logging.level == "debug"
    with pytest.raises(ConfigurationError, match=r"logging\.level"):
        read(tmp_path, GOOD, {"MPCSTATS_LOG_LEVEL": "loud"})


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('kind = "Party"', 'kind = "Policy"', "kind"),
        ('apiVersion = "mpcstats/v1"\n', "", "apiVersion"),
        ('name = "northfield"', 'name = "North Field"', "name: .*cannot name a party"),
        ('role = "data"', 'role = "observer"', "role"),
        ('role = "data"', 'role = "compute"', "has no datasets"),
        ('listen = "127.0.0.1:4710"', 'listen = "4710"', r"network\.listen: .*host:port"),
        ('table = "data/cohort.csv"\n', "", r"datasets\.main\.table"),
        ("patience_seconds = 12", "patience_seconds = 0", r"run\.patience_seconds"),
        ("patience_seconds = 12", "patience_secs = 12", r"run\.patience_secs"),
        ('operator = "Northfield Hospital"', 'operator = ""', "operator"),
        ("[network]", "[network", "is not TOML"),
    ],
)
def test_errors_name_file_and_field(tmp_path, before, after, says):
    assert before in GOOD
    with pytest.raises(ConfigurationError, match=says) as caught:
        read(tmp_path, GOOD.replace(before, after))
    assert "party.toml" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigurationError, match="party init"):
        PartyDirectory(tmp_path / "nowhere", {})


def test_a_party_with_data_needs_a_policy(tmp_path):
    directory = read(tmp_path, GOOD)
    with pytest.raises(ConfigurationError, match=r"policy\.toml is missing"):
        directory.policy()
    (tmp_path / "policy.toml").write_text('extends = "lenient"\n')
    with pytest.raises(ConfigurationError, match="extends"):
        directory.policy()


def test_a_new_party(tmp_path):
    words = create_party(tmp_path / "w", name="westbay", listen="0.0.0.0:4710", advertise="mpc.westbay.example:4710")
    directory = PartyDirectory(tmp_path / "w", {})
    assert directory.policy().extends == "standard"
    card = make_card(tmp_path / "w")
    assert card.words == words
    assert card.address == "mpc.westbay.example:4710"
    with pytest.raises(ConfigurationError, match="exists"):
        create_party(tmp_path / "w", name="westbay", listen="0.0.0.0:1", advertise="a.example:1")
    with pytest.raises(ConfigurationError, match="has an identity"):
        create_keys(tmp_path / "w")
    create_party(tmp_path / "c", name="neutral", listen="0.0.0.0:4710", advertise="c.example:4710", role="compute")
    assert PartyDirectory(tmp_path / "c", {}).policy() is None
    assert not (tmp_path / "c" / "policy.toml").exists()


def test_keys_for_a_directory_that_came_with_its_party_toml(tmp_path):
    (tmp_path / "party.toml").write_text(GOOD)
    assert make_card_words(tmp_path) == create_keys_words(tmp_path)


def create_keys_words(path):
    return make_card(path).words


def make_card_words(path):
    return create_keys(path)


def test_a_wrong_new_party_leaves_nothing_behind(tmp_path):
    with pytest.raises(ConfigurationError, match="listen"):
        create_party(tmp_path / "x", name="westbay", listen="nowhere", advertise="a.example:1")
    assert not (tmp_path / "x").exists()


def test_the_settings_in_a_new_policy_are_settings_and_others_are_refused(tmp_path):
    create_party(tmp_path / "w", name="westbay", listen="127.0.0.1:4710", advertise="127.0.0.1:4710")
    file = tmp_path / "w" / "policy.toml"
    assert PartyDirectory(tmp_path / "w", {}).policy() == Policy.preset("standard")
    as_made = file.read_text()
    settings = [line.removeprefix("# ") for line in as_made.splitlines() if " = " in line or line.startswith("# [")]
    file.write_text("\n".join(settings))
    policy = PartyDirectory(tmp_path / "w", {}).policy()
    assert policy.analyses == ("count", "kaplan-meier")
    assert policy.rules.exact_curve
    assert policy.rules.all_variants
    file.write_text("[disclosure]\nminimum_cuont = 3\n")
    with pytest.raises(ConfigurationError) as caught:
        PartyDirectory(tmp_path / "w", {}).policy()
    assert str(caught.value).endswith(
        "policy.toml line 2, disclosure.minimum_cuont: there is no such setting; did you mean minimum_count?"
    )
