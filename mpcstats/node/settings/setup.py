"""A new party's directory: keys and first configuration files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.roster import CARD_ONLY, Card, read_model
from mpcstats.node.identity.keys import create_identity, fingerprint_words
from mpcstats.node.settings.config import PartyConfig, PartyDirectory
from mpcstats.study.files.writing import toml_scalar

__all__ = ["create_keys", "create_party", "make_card"]

_PARTY = """\
apiVersion = "mpcstats/v1"
kind = "Party"
name = {name}
role = {role}
operator = {operator}
{institution}
[network]
listen = {listen}
advertise = {advertise}
"""

_DATASET = """
# One section per data set; paths are relative to this directory.
# [datasets.main]
# table = "data/cohort.csv"
# dictionary = "dictionary.toml"
# genotypes = "data/genotypes"    # PLINK 1 or 2 prefix, .vcf, .vcf.gz or .bcf, optional
# id = "IID"                      # column of the table that names the people of the genotypes
# variants = "study.tsv"          # the study's list of variants, where institutions have different ones
"""

_POLICY = """\
apiVersion = "mpcstats/v1"
kind = "Policy"
extends = "standard"

# The analyses that may run on this party's data; all of them unless listed:
# analyses = ["count", "kaplan-meier"]
#
# Own values in place of the preset's. Of all parties' values the strictest is in force.
# [disclosure]
# exact_curve = true    # every time of an event; without it no log-rank test
# all_variants = true   # effect and standard error of every variant; without it a GWAS releases hits alone
# allele_counts = true  # with it the pooled counts of genotypes, cells of one person included
"""


def create_party(
    directory: Path,
    *,
    name: str,
    listen: str,
    advertise: str,
    role: str = "data",
    operator: str | None = None,
    institution: Mapping[str, str] | None = None,
) -> str:
    """Make `directory` with keys/, party.toml and, for a party with data, policy.toml.

    Parameters
    ----------
    institution : mapping, optional
        What the party's card says of it: legal, contact, dpo.

    Returns
    -------
    str
        The fingerprint as words.

    Raises
    ------
    ConfigurationError
        A value is not valid, or the directory holds a party already; nothing is changed then.
    """
    values = {"name": name, "role": role, "operator": operator or name, "listen": listen, "advertise": advertise}
    network = {"listen": listen, "advertise": advertise}
    about = {key: text for key, text in (institution or {}).items() if text}
    plain = {key: values[key] for key in ("name", "role", "operator")} | about
    kind = {"apiVersion": "mpcstats/v1", "kind": "Party"}
    read_model(PartyConfig, {**kind, **plain, "network": network}, "the new party")
    if (directory / "party.toml").exists():
        raise ConfigurationError(f"{directory / 'party.toml'} exists", hint=f"mpcstats party init {directory}")
    pair = create_identity(directory, name)
    lines = "".join(f"{key} = {toml_scalar(text)}\n" for key, text in about.items())
    text = _PARTY.format(institution=lines, **{key: toml_scalar(value) for key, value in values.items()})
    (directory / "party.toml").write_text(text + (_DATASET if role == "data" else ""), encoding="utf-8")
    policy = directory / "policy.toml"
    if role == "data" and not policy.exists():
        policy.write_text(_POLICY, encoding="utf-8")
    return fingerprint_words(pair.certificate_pem)


def create_keys(directory: Path) -> str:
    """Make the keys of a party whose party.toml is there already; returns the fingerprint as words.

    Raises
    ------
    ConfigurationError
        There are keys already, or party.toml is missing or wrong.
    """
    pair = create_identity(directory, PartyDirectory(directory).config.name)
    return fingerprint_words(pair.certificate_pem)


def make_card(path: Path) -> Card:
    """The public card of the party in directory `path`."""
    directory = PartyDirectory(path)
    config = directory.config
    plain = {
        "name": config.name,
        "role": config.role,
        "operator": config.operator,
        "address": config.network.advertise,
        "certificate": directory.identity().certificate_pem.decode(),
        **{key: getattr(config, key) for key in CARD_ONLY},
    }
    return read_model(Card, plain, f"the card of {config.name}")
