"""The same analyses on the pooled plaintext, by other people's code: what the demonstration is checked against.

Only a demonstration on public data can do this: it reads all parties' files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mpcstats.sdk.results import CountResult, GwasResult, KaplanMeierResult, LogrankResult

__all__ = ["Pooled"]


class Pooled:
    """All parties' records in one place, and largest differences from joint results.

    Parameters
    ----------
    parties : list of Path
        The parties' directories.
    """

    def __init__(self, parties: list[Path]) -> None:
        self._lungs = [pd.read_csv(path / "data/lung.csv") for path in parties]
        self.lung = pd.concat(self._lungs, ignore_index=True)
        self.traits = pd.concat(
            [pd.read_csv(path / "data/traits.csv", dtype={"IID": str}) for path in parties], ignore_index=True
        )
        self._prefixes = [path / "data/variants" for path in parties]

    def count(self, result: CountResult, minimum_age: int) -> tuple[str, float]:
        """Released cells against pandas: true count rounded to the base, hidden if and only if it is below the
        threshold, or what is left without one party is."""
        chosen = [lung[lung["age"] >= minimum_age] for lung in self._lungs]
        rules = result.run["rules"]
        base, threshold = rules["rounding_base"]["value"], rules["minimum_count"]["value"]
        wrong = 0
        for sex, stage, count in zip(*(result.table[name] for name in ("sex", "ph.ecog", "count")), strict=True):
            own = [int(((site["sex"] == sex) & (site["ph.ecog"] == stage)).sum()) for site in chosen]
            true = sum(own)
            small = true < threshold
            if not rules["small_remainders"]["value"]:
                small = small or any(0 < true - part < threshold for part in own)
            nearest = base * ((true + base // 2) // base)
            expected = pd.NA if small else max(nearest, base * -(-threshold // base))
            wrong += (count is pd.NA) != (expected is pd.NA) or (count is not pd.NA and count != expected)
        return "cells that differ from pandas under the same rule", float(wrong)

    def survival(self, curve: KaplanMeierResult, test: LogrankResult) -> tuple[str, float]:
        """Survival and limits against lifelines, standard errors against statsmodels, log-rank against lifelines."""
        import lifelines
        import lifelines.statistics
        from statsmodels.duration.survfunc import SurvfuncRight

        worst = 0.0
        for group, ours in curve.table.groupby("group"):
            part = self.lung[self.lung["sex"].astype(str) == group]
            theirs = lifelines.KaplanMeierFitter().fit(part["time"], part["status"])
            at = ours["time"]
            worst = max(worst, _relative(ours["survival"], theirs.survival_function_.iloc[:, 0].reindex(at)))
            limits = theirs.confidence_interval_.reindex(at)
            inside = ((ours["survival"] > 0) & (ours["survival"] < 1)).to_numpy()
            for name, column in (("lower", 0), ("upper", 1)):
                worst = max(worst, _relative(ours[name][inside], limits.iloc[:, column][inside]))
            errors = SurvfuncRight(part["time"], part["status"])
            known = pd.Series(errors.surv_prob_se, index=errors.surv_times)
            events = (ours["events"] > 0).to_numpy() & inside
            worst = max(worst, _relative(ours["standard_error"][events], known.reindex(at[events])))
        everybody = self.lung["time"], self.lung["sex"], self.lung["status"]
        oracle = lifelines.statistics.multivariate_logrank_test(*everybody)
        worst = max(worst, abs(test.chi_square / oracle.test_statistic - 1), abs(test.p_value / oracle.p_value - 1))
        return "largest relative difference from lifelines and statsmodels", worst

    def association(self, result: GwasResult, phenotype: str, covariates: list[str]) -> tuple[str, float]:
        """Every effect and standard error against statsmodels OLS on the pooled genotypes."""
        import statsmodels.api as sm
        from bed_reader import open_bed

        calls, ids = [], []
        for prefix in self._prefixes:
            with open_bed(f"{prefix}.bed") as bed:
                calls.append(bed.read(dtype="float64"))
                ids.extend(bed.iid)
        genotypes = np.vstack(calls)
        people = self.traits.set_index("IID").loc[ids]
        fixed = sm.add_constant(people[covariates].to_numpy())
        outcome = people[phenotype].to_numpy()
        table = result.table
        worst = 0.0
        for j, (a1, alt, beta, error) in enumerate(zip(*(table[k] for k in ("A1", "ALT", "BETA", "SE")), strict=True)):
            dosage = genotypes[:, j] if a1 == alt else 2 - genotypes[:, j]
            fit = sm.OLS(outcome, np.column_stack([dosage, fixed])).fit()
            worst = max(worst, abs(beta / fit.params[0] - 1), abs(error / fit.bse[0] - 1))
        return "largest relative difference of effect or standard error from statsmodels", worst


def _relative(ours: pd.Series[float], theirs: pd.Series[float]) -> float:
    a, b = ours.to_numpy(float), theirs.to_numpy(float)
    return float(np.max(np.abs(a - b) / np.abs(b))) if len(a) else 0.0
