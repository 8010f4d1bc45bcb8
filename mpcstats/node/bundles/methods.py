"""The methods text of a bundle: what was computed, how, and what protects the people in it."""

from __future__ import annotations

from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import ANALYSES
from mpcstats.study.certificate import Certificate
from mpcstats.study.lock import Proposal

__all__ = ["methods_text"]


def methods_text(certificate: Certificate, outcome: Outcome, proposal: Proposal | None) -> str:
    """Markdown; the same for the same documents."""
    title = certificate.analysis if proposal is None else str(proposal.study["title"])
    parts = [
        f"# {title}",
        _design(certificate, proposal),
        "## Analysis",
        _analysis(certificate, outcome),
        "## Security model",
        _security(certificate),
        "## Disclosure control",
        _disclosure(certificate, outcome),
        "## What was opened",
        _opened(certificate),
    ]
    return "\n\n".join(parts) + "\n"


def _design(certificate: Certificate, proposal: Proposal | None) -> str:
    data = ", ".join(certificate.data_parties)
    text = (
        f"{len(certificate.data_parties)} institutions of the consortium {certificate.consortium} contributed data "
        f"({data}); {len(certificate.parties)} computed ({', '.join(certificate.parties)})."
    )
    if proposal is None:
        return f"{text} The run needed no study: the policies of all institutions allow it."
    return (
        f"{text} Study {certificate.study}, proposed by {proposal.study['principal']} for: "
        f"{proposal.study['purpose']}. "
        "Every institution with data approved request, rules and reveal manifest before the run."
    )


def _analysis(certificate: Certificate, outcome: Outcome) -> str:
    summary = ANALYSES[certificate.analysis].summary if certificate.analysis in ANALYSES else ""
    lines = [f"`{certificate.analysis}`: {summary}" if summary else f"`{certificate.analysis}`.", ""]
    lines += [f"* {name.replace('_', ' ')}: {text}" for name, text in outcome.conventions.items()]
    version = certificate.software.get("mpcstats")
    return "\n".join([*lines, "", f"Computed with mpcstats {version}."] if version else lines).strip()


def _security(certificate: Certificate) -> str:
    t = certificate.threshold
    text = (
        "The institutions computed on Shamir shares; no record left its institution. "
        f"Any {t} of the {len(certificate.parties)} computing parties together learn nothing beyond what was opened, "
        f"as long as they follow the protocol; {t + 1} together could reconstruct everything."
    )
    if certificate.kappa_total:
        text += (
            f" {certificate.masked_openings} values were opened under bounded masks, which leaves "
            f"{certificate.kappa_total} bits of statistical security."
        )
    return text


def _disclosure(certificate: Certificate, outcome: Outcome) -> str:
    rules = [f"* {name} = {rule.value} (because of {rule.owner})" for name, rule in sorted(certificate.rules.items())]
    withheld = [f"* withheld: {text}" for text in outcome.withheld]
    return "\n".join(["The strictest rule of all institutions was in force:", "", *rules, *withheld])


def _opened(certificate: Certificate) -> str:
    rows = [f"| {x.name} | {x.kind} | {x.opened} | {x.declared} | {x.why} |" for x in certificate.manifest]
    return "\n".join(["| name | kind | values opened | declared | why |", "|---|---|---|---|---|", *rows])
