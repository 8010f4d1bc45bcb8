"""The three analyses on embedded parties: any split of the rows gives the pooled answer."""

from __future__ import annotations

import gzip
from pathlib import Path

import lifelines
import lifelines.statistics
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from bed_reader import open_bed, to_bed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mpcstats as ms
from mpcstats.errors import DataError, DisclosureRefused, SpecError
from mpcstats.study.dictionary import Dictionary

DATA = Path(__file__).parents[1] / "data"
NAMES = ("northfield", "lakeside", "westbay", "eastham", "southport", "hillcrest", "riverside")


@pytest.fixture(scope="module")
def lung() -> pd.DataFrame:
    return pd.read_csv(DATA / "lung.csv")


def split(frame: pd.DataFrame, sites: int, seed: int, empty: bool = False) -> dict[str, pd.DataFrame]:
    """Rows to sites at random; with `empty`, the last site gets none."""
    target = np.random.default_rng(seed).integers(0, sites - empty, len(frame))
    return {NAMES[k]: frame[target == k].reset_index(drop=True) for k in range(sites)}


splits = st.tuples(st.integers(2, 7), st.integers(0, 10**6), st.booleans())
quick = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(how=splits)
def test_counts_do_not_depend_on_the_split(lung: pd.DataFrame, how: tuple[int, int, bool]) -> None:
    with ms.local(split(lung, *how)) as consortium:
        table = consortium.count(where="age >= 65 and time > 100", by=["sex", "ph.ecog"]).to_frame()
    chosen = lung[(lung["age"] >= 65) & (lung["time"] > 100)]
    for row in table.itertuples():
        assert row.count == ((chosen["sex"] == row.sex) & (chosen["ph.ecog"] == row[2])).sum()
    assert len(table) == lung["sex"].nunique() * lung["ph.ecog"].nunique()


@quick
@given(how=splits)
def test_curves_and_logrank_do_not_depend_on_the_split(lung: pd.DataFrame, how: tuple[int, int, bool]) -> None:
    with ms.local(split(lung, *how)) as consortium:
        curve = consortium.kaplan_meier(time="time", event="status", by="sex", conf_type="log-log").to_frame()
        test = consortium.logrank(time="time", event="status", by="sex")
    died = lung["status"] == lung["status"].max()
    for sex, part in lung.groupby("sex"):
        oracle = lifelines.KaplanMeierFitter().fit(part["time"], died[part.index])
        ours = curve[curve["group"] == str(sex)].set_index("time")
        theirs = oracle.survival_function_["KM_estimate"].reindex(ours.index)
        np.testing.assert_allclose(ours["survival"], theirs, rtol=1e-12)
        limits = oracle.confidence_interval_.reindex(ours.index)
        inside = (ours["survival"] < 1) & (ours["survival"] > 0)
        np.testing.assert_allclose(ours["lower"][inside], limits.iloc[:, 0][inside], rtol=1e-9)
        np.testing.assert_allclose(ours["upper"][inside], limits.iloc[:, 1][inside], rtol=1e-9)
        assert (ours["at_risk"] == oracle.event_table["at_risk"].reindex(ours.index)).all()
    oracle = lifelines.statistics.multivariate_logrank_test(lung["time"], lung["sex"], died)
    assert test.chi_square == pytest.approx(oracle.test_statistic, rel=1e-9)
    assert test.p_value == pytest.approx(oracle.p_value, rel=1e-9)


def genotype_sites(
    folder: Path, sites: int, seed: int, missing: float = 0.03
) -> tuple[dict[str, ms.Dataset], pd.DataFrame, np.ndarray]:
    """A simulated cohort with missing calls, split into PLINK files; pooled traits and calls for the oracle."""
    rng = np.random.default_rng(seed)
    people, variants = 180, 25
    calls = rng.binomial(2, rng.uniform(0.1, 0.9, variants), (people, variants)).astype(np.int8)
    calls[:, 3] = 2  # monomorphic
    calls[:, 1] = 1  # everybody heterozygous
    calls[:, 4:][rng.random((people, variants - 4)) < missing] = -127
    traits = pd.DataFrame(
        {
            "IID": [f"person{k}" for k in range(people)],
            "height": rng.normal(170, 9, people).round(3),
            "age": rng.integers(30, 80, people),
            "smoker": rng.integers(0, 2, people),
        }
    )
    traits["height"] += 1.5 * np.maximum(calls[:, 0], 0)
    target = rng.integers(0, sites, people)
    parties = {}
    for k in range(sites):
        rows = np.flatnonzero(target == k)
        prefix = folder / f"site{k}_{seed}"
        to_bed(
            f"{prefix}.bed",
            np.ascontiguousarray(calls[rows]),
            properties={
                "iid": traits["IID"].to_numpy()[rows],
                "fid": ["0"] * len(rows),
                "sid": [f"v{j}" for j in range(variants)],
                "chromosome": ["1"] * variants,
                "bp_position": list(range(1, variants + 1)),
                "allele_1": ["A"] * variants,
                "allele_2": ["G"] * variants,
            },
        )
        shuffled = traits.iloc[rows].sample(frac=1, random_state=k).reset_index(drop=True)
        parties[NAMES[k]] = ms.Dataset(shuffled, genotypes=prefix, id="IID")
    return parties, traits, calls


@pytest.mark.parametrize(("sites", "seed"), [(2, 1), (3, 2), (5, 3), pytest.param(7, 4, marks=pytest.mark.long)])
def test_association_with_missing_calls_does_not_depend_on_the_split(tmp_path: Path, sites: int, seed: int) -> None:
    parties, traits, calls = genotype_sites(tmp_path, sites, seed)
    with ms.local(parties) as consortium:
        result = consortium.gwas(phenotype="height", covariates=["age", "smoker"])
    table = result.to_frame()
    assert (table["ERRCODE"][[1, 3]] == "CONST_OMITTED_ALLELE").all()
    for j, row in enumerate(table.itertuples()):
        present = calls[:, j] >= 0
        assert present.sum() == row.OBS_CT
        if j in {1, 3}:
            assert np.isnan(row.BETA)
            assert np.isnan(row.P)
            continue
        g = calls[present, j].astype(float)
        dosage = g if row.A1 == "A" else 2 - g
        assert dosage.mean() <= 1
        design = np.column_stack([dosage, np.ones(present.sum()), traits.loc[present, ["age", "smoker"]]])
        oracle = sm.OLS(traits.loc[present, "height"].to_numpy(), design).fit()
        assert pytest.approx(oracle.params[0], rel=1e-6) == row.BETA
        assert pytest.approx(oracle.bse[0], rel=1e-6) == row.SE
        assert pytest.approx(-np.log10(oracle.pvalues[0]), abs=1e-5) == row.LOG10_P


def test_an_empty_site_needs_no_genotypes(tmp_path: Path) -> None:
    parties, traits, _ = genotype_sites(tmp_path, 3, 2)
    with ms.local(parties) as consortium:
        expected = consortium.gwas(phenotype="height", covariates=["age"])
    with ms.local({"first": traits.iloc[:0], **parties}) as consortium:
        table = consortium.gwas(phenotype="height", covariates="age").to_frame()
    np.testing.assert_allclose(table["BETA"], expected.table["BETA"], rtol=1e-6)
    assert expected.write_plink(tmp_path / "a" / "new" / "folder.glm.linear").exists()
    with ms.local(dict.fromkeys(NAMES[:3], traits.iloc[:0])) as consortium, pytest.raises(DataError):
        consortium.gwas(phenotype="height")


def test_one_value_may_stand_without_a_list(lung: pd.DataFrame) -> None:
    words = lung.assign(status=np.where(lung["status"] == 1, "dead", "alive"))
    with ms.local(split(words, 3, 1)) as consortium:
        assert consortium.kaplan_meier(time="time", event="status", event_values="dead").medians["median"][0] == 310
    with ms.local(split(lung, 3, 1)) as consortium:
        assert consortium.kaplan_meier(time="time", event="status", event_values=1).medians["median"][0] == 310


@pytest.mark.parametrize(("sites", "seed"), [(2, 1), (3, 2), (3, 6), pytest.param(7, 4, marks=pytest.mark.long)])
def test_a_variant_that_the_covariates_explain_has_no_result(tmp_path: Path, sites: int, seed: int) -> None:
    parties, traits, calls = genotype_sites(tmp_path, sites, seed)
    # variant 0 has all its calls, variant 9 has not
    made = traits[["IID"]].assign(zero=3 - calls[:, 0].astype(float), nine=np.where(calls[:, 9] < 0, 7, calls[:, 9]))
    for name, dataset in parties.items():
        parties[name] = ms.Dataset(dataset.table.merge(made, on="IID"), genotypes=dataset.genotypes, id="IID")
    with ms.local(parties) as consortium:
        table = consortium.gwas(phenotype="height", covariates=["zero", "nine"]).to_frame()
    assert table["ERRCODE"].ne(".").tolist() == [j in {0, 1, 3, 9} for j in range(len(table))]
    assert table.loc[[0, 1, 3, 9], ["BETA", "SE", "P"]].isna().all(axis=None)


def test_association_gives_plinks_digits(tmp_path: Path) -> None:
    bed = open_bed(DATA / "regenie.bed")
    calls, traits = bed.read(dtype="int8"), pd.read_csv(DATA / "regenie_traits.csv", dtype={"IID": str})
    parties = {}
    for k, rows in enumerate((slice(0, 90), slice(90, 310), slice(310, 500))):
        prefix = tmp_path / f"site{k}"
        to_bed(
            f"{prefix}.bed",
            np.ascontiguousarray(calls[rows]),
            properties={
                "iid": bed.iid[rows],
                "fid": bed.fid[rows],
                "sid": bed.sid,
                "chromosome": bed.chromosome,
                "bp_position": bed.bp_position,
                "allele_1": bed.allele_1,
                "allele_2": bed.allele_2,
            },
        )
        parties[NAMES[k]] = ms.Dataset(traits[rows], genotypes=prefix, id="IID")
    with ms.local(parties) as consortium:
        result = consortium.gwas(phenotype="Y1", covariates=["V1", "V2", "V3"])
    (written,) = [path for path in result.save(tmp_path / "out") if path.name.endswith(".glm.linear")]
    with gzip.open(DATA / "regenie_Y1.glm.linear.gz", "rt") as golden:
        theirs = pd.read_csv(golden, sep="\t", dtype=str)
    ours = pd.read_csv(written, sep="\t", dtype=str)
    assert list(ours.columns) == list(theirs.columns)
    for name in ("#CHROM", "POS", "ID", "REF", "ALT", "A1", "TEST", "OBS_CT", "ERRCODE"):
        assert (ours[name] == theirs[name]).all(), name
    for name in ("BETA", "SE", "T_STAT", "P"):  # PLINK prints six digits
        np.testing.assert_allclose(ours[name].astype(float), theirs[name].astype(float), rtol=5.1e-6)


def test_the_unit_of_the_phenotype_does_not_cost_digits(tmp_path: Path) -> None:
    parties, _, _ = genotype_sites(tmp_path, 3, 5)
    tiny = {
        name: ms.Dataset(d.table.assign(height=1e-9 * d.table["height"]), genotypes=d.genotypes, id="IID")
        for name, d in parties.items()
    }
    tables = []
    for sites in (parties, tiny):
        with ms.local(sites) as consortium:
            tables.append(consortium.gwas(phenotype="height", covariates=["age"]).to_frame())
    np.testing.assert_allclose(tables[1]["T_STAT"], tables[0]["T_STAT"], rtol=1e-8)
    np.testing.assert_allclose(tables[1]["BETA"], 1e-9 * tables[0]["BETA"], rtol=1e-8)


def relative_errors(table: pd.DataFrame, traits: pd.DataFrame, calls: np.ndarray, covariates: list[str]) -> float:
    """Largest relative difference of effect or standard error from ordinary least squares."""
    worst = 0.0
    for j, row in enumerate(table.itertuples()):
        if row.ERRCODE != ".":
            continue
        present = calls[:, j] >= 0
        g = calls[present, j].astype(float)
        design = np.column_stack(
            [g if row.A1 == "A" else 2 - g, np.ones(present.sum()), traits.loc[present, covariates]]
        )
        oracle = sm.OLS(traits.loc[present, "height"].to_numpy(), design).fit()
        worst = max(worst, abs(row.BETA / oracle.params[0] - 1), abs(row.SE / oracle.bse[0] - 1))
    return worst


@pytest.mark.parametrize("high", [300.0, 3e4, 1e6, 1e8, 1e10, 1e11])
def test_a_wide_range_gives_the_digits_or_an_error(tmp_path: Path, high: float) -> None:
    parties, traits, calls = genotype_sites(tmp_path, 3, 12, missing=0)
    dictionary = Dictionary.model_validate(
        {
            "id": "d",
            "columns": [
                {"name": "IID", "type": "category"},
                {"name": "height", "type": "decimal", "range": [0, high]},
                {"name": "age", "type": "integer", "range": [0, 120]},
            ],
        }
    )
    with ms.local(parties, dictionary=dictionary) as consortium:
        if high > 1e6:
            with pytest.raises(SpecError, match=r"range of column 'height' .* too wide"):
                consortium.gwas(phenotype="height", covariates=["age"])
        else:
            table = consortium.gwas(phenotype="height", covariates=["age"]).to_frame()
            assert relative_errors(table, traits, calls, ["age"]) < 1e-8


@pytest.mark.parametrize("noise", [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_nearly_collinear_covariates_give_the_digits_or_an_error(tmp_path: Path, noise: float) -> None:
    parties, traits, calls = genotype_sites(tmp_path, 3, 12, missing=0)
    near = traits["age"] + noise * np.random.default_rng(1).normal(size=len(traits))
    for name, dataset in parties.items():
        frame = dataset.table.assign(near=dataset.table["IID"].map(dict(zip(traits["IID"], near, strict=True))))
        parties[name] = ms.Dataset(frame, genotypes=dataset.genotypes, id="IID")
    with ms.local(parties) as consortium:
        if noise <= 1e-3:
            with pytest.raises(SpecError, match="collinear"):
                consortium.gwas(phenotype="height", covariates=["age", "near"])
        else:
            table = consortium.gwas(phenotype="height", covariates=["age", "near"]).to_frame()
            assert relative_errors(table, traits.assign(near=near), calls, ["age", "near"]) < 1e-7


# --- what is withheld ---------------------------------------------------------------------------------------------


def test_standard_hides_small_counts_and_rounds_the_others(lung: pd.DataFrame) -> None:
    sites = split(lung, 3, 7)
    with ms.local(sites, policy="standard") as consortium:
        table = consortium.count(by=["sex", "ph.ecog"]).to_frame()
    for row in table.itertuples():
        own = [((site["sex"] == row.sex) & (site["ph.ecog"] == row[2])).sum() for site in sites.values()]
        assert (row.status == "suppressed") == (standard_count(own) is None)
        assert pd.isna(row.count) if standard_count(own) is None else row.count == standard_count(own)


LAX = ms.Policy.model_validate({"extends": "standard", "disclosure": {"small_remainders": True}})


def standard_count(own: list[int]) -> int | None:
    """Of 11 people at least, also without each site (or nobody there), in multiples of 5."""
    true = sum(own)
    if true < 11 or any(0 < true - part < 11 for part in own):
        return None
    return max(15, 5 * ((true + 2) // 5))


@pytest.mark.parametrize("people", [0, 1, 10, 11, 12, 13, 17, 18])
def test_the_threshold_is_on_the_pooled_count(people: int) -> None:
    frame = pd.DataFrame({"age": [70] * people + [20] * (40 - people)})
    with ms.local(split(frame, 3, 1), policy=LAX) as consortium:
        result = consortium.count(where="age >= 65")
    assert result.value == {11: 15, 12: 15, 13: 15, 17: 15, 18: 20}.get(people)


def test_what_one_site_leaves_is_nobody_or_enough() -> None:
    """40 people of whom 10, 11 or none are not at the largest site: it would subtract its own."""
    for elsewhere, value in ((0, 40), (10, None), (11, 40)):
        ages = [70] * 20
        sites = [ages + [70] * (20 - elsewhere), [70] * elsewhere + [20], [20] * 30]
        frames = {NAMES[k]: pd.DataFrame({"age": site}) for k, site in enumerate(sites)}
        with ms.local(frames, policy="standard") as consortium:
            assert consortium.count(where="age >= 65").value == value


def test_hidden_zero_and_hidden_ten_look_the_same_to_everybody() -> None:
    outcomes = []
    for people in (0, 10):
        frame = pd.DataFrame({"age": [70] * people + [20] * (40 - people)})
        with ms.local(split(frame, 3, 1), policy="standard") as consortium:
            result = consortium.count(where="age >= 65")
        outcomes.append((result.to_frame().to_csv(), result.outcome.run["openings_digest"] != ""))
    assert outcomes[0] == outcomes[1]


def test_standard_shows_a_rounded_curve_that_ends_early(lung: pd.DataFrame) -> None:
    with ms.local(split(lung, 3, 3)) as consortium:
        exact = consortium.kaplan_meier(time="time", event="status", by="sex").to_frame()
    with ms.local(split(lung, 3, 3), policy="standard") as consortium:
        result = consortium.kaplan_meier(time="time", event="status", by="sex")
    rounded = result.to_frame()
    assert result.outcome.values["curve"] == "rounded"
    for group, part in rounded.groupby("group"):
        true = exact[exact["group"] == group]
        assert (part["time"] % 30 == 0).all()
        steps = part["events"][part["events"] > 0]
        assert (steps >= 15).all()
        # steps are 2 step_minimum + 5 wide
        for time, cumulative in zip(part["time"], part["events"].cumsum(), strict=True):
            happened = true["events"][true["time"] <= time].sum()
            assert cumulative == (0 if happened < 15 else happened - happened % 15 + 7)
        last = part["time"].max()
        alive = true["at_risk"][true["time"] > last - 30].max()
        assert alive >= 11
        assert (part["at_risk"] >= 11).all()
        beyond = true["at_risk"][true["time"] > last + 300].max()
        assert beyond < 11
        # less than a step of the smaller group
        assert (part["survival"].to_numpy() - np.interp(part["time"], true["time"], true["survival"])).max() < 15 / 90


@pytest.mark.parametrize("unit", [1.0, 0.1, 0.7, 7.0, 21.0, 29.0, 30.0, 45.0])
def test_the_grid_of_a_rounded_curve_is_not_narrower_than_the_rule(unit: float) -> None:
    rng = np.random.default_rng(8)
    sites = {
        name: pd.DataFrame({"time": rng.integers(1, 13, 90) * unit + 0.0, "status": rng.integers(0, 2, 90)})
        for name in NAMES[:3]
    }
    dictionary = Dictionary.model_validate(
        {
            "id": "d",
            "columns": [
                {"name": "time", "type": "decimal", "range": [0, 600], "resolution": unit},
                {"name": "status", "type": "integer", "levels": [0, 1]},
            ],
        }
    )
    with ms.local(sites, policy="standard", dictionary=dictionary) as consortium:
        times = consortium.kaplan_meier(time="time", event="status", time_unit=unit).to_frame()["time"]
    widths = np.diff(times, prepend=0)
    assert (widths >= 30 * (1 - 1e-9)).all()
    assert (widths < 30 + unit).all()


def test_standard_shows_a_test_and_not_its_counts(lung: pd.DataFrame) -> None:
    request = {"time": "time", "event": "status", "by": "sex"}
    with ms.local(split(lung, 3, 3)) as consortium:
        oracle = consortium.logrank(**request)
    with ms.local(split(lung, 3, 3), policy="standard") as consortium:
        result = consortium.logrank(**request)
        with pytest.raises(DisclosureRefused, match="too few people or events"):
            consortium.logrank(**request, where="age < 45")
    assert result.chi_square == pytest.approx(oracle.chi_square, rel=5e-7)
    assert result.p_value == pytest.approx(oracle.p_value, rel=1e-5)
    table = result.outcome.tables["groups"]
    assert table["group"].tolist() == ["1", "2"]
    assert table.drop(columns="group").isna().all(axis=None)
    opened = {entry["name"]: entry["values"] for entry in result.outcome.run["opened"]}
    assert opened == {"test can be released": 1, "groups in the test": 0, "test exists": 1, "chi-square": 2}
    assert "exact_curve = False" in result.outcome.withheld[0]
    assert result.summary()
    assert result.plot()


EXACT = ms.Policy.model_validate({"extends": "standard", "disclosure": {"exact_curve": True, "small_remainders": True}})


@pytest.mark.parametrize("people", [0, 1, 10, 11])
def test_an_exact_curve_is_not_the_record_of_one_person(lung: pd.DataFrame, people: int) -> None:
    """`where` picks any people: exact_curve does not switch minimum_count off."""
    frame = lung.assign(age=50, sex=1)
    frame.loc[: people - 1, "age"] = 80
    with ms.local(split(frame, 3, 5), policy=EXACT) as consortium:
        result = consortium.kaplan_meier(time="time", event="status", where="age == 80")
        with pytest.raises((DisclosureRefused, SpecError)):
            consortium.logrank(time="time", event="status", by="sex", where="age == 80")
    curve, medians = result.outcome.tables["curve"], result.outcome.tables["medians"]
    if people < 11:
        assert curve.empty
        assert medians["records"].isna().all()
        assert medians["median"].isna().all()
        assert "1 of 1 groups hidden (minimum_count = 11" in result.outcome.withheld[0]
        assert result.summary()
    else:
        assert curve["at_risk"].iloc[0] == 11
        assert medians["records"].tolist() == [11]
        assert result.outcome.withheld == []


def test_small_groups_leave_an_exact_test(lung: pd.DataFrame) -> None:
    frame = lung[lung["ph.ecog"].isin([0, 1, 2, 3])]  # one person has ECOG 3
    large = frame[frame["ph.ecog"] < 3]
    request = {"time": "time", "event": "status", "by": "ph.ecog"}
    with ms.local(split(frame, 3, 5), policy=EXACT) as consortium:
        test, curves = consortium.logrank(**request), consortium.kaplan_meier(**request)
    with ms.local(split(large, 3, 5)) as consortium:
        oracle = consortium.logrank(**request)
    assert test.chi_square == pytest.approx(oracle.chi_square, rel=1e-12)
    assert test.outcome.tables["groups"]["group"].tolist() == ["0", "1", "2"]
    assert set(curves.to_frame()["group"]) == {"0", "1", "2"}
    for result in (test, curves):
        assert "1 of 4 groups hidden (minimum_count = 11" in result.outcome.withheld[0]


def test_standard_needs_three_institutions(lung: pd.DataFrame) -> None:
    with ms.local(split(lung, 2, 3), policy="standard") as pair, pytest.raises(DisclosureRefused, match="2 parties"):
        pair.count()


def test_a_request_can_ask_for_more_protection_but_not_for_less(lung: pd.DataFrame) -> None:
    with ms.local(split(lung, 3, 3)) as consortium:
        assert consortium.count(policy="standard").value == 230
    with ms.local(split(lung, 3, 3), policy="standard") as consortium:
        assert consortium.count(policy="open").value == 230


def test_standard_lets_no_variant_out(tmp_path: Path) -> None:
    parties, _, _ = genotype_sites(tmp_path, 3, 9)
    with ms.local(parties, policy="standard") as consortium, pytest.raises(DisclosureRefused, match="all_variants"):
        consortium.gwas(phenotype="height")


def test_small_studies_and_rare_variants_are_withheld(tmp_path: Path) -> None:
    parties, _, calls = genotype_sites(tmp_path, 3, 9)
    few = ms.Policy.model_validate({"extends": "open", "disclosure": {"association_minimum_people": 181}})
    with ms.local(parties, policy=few) as consortium, pytest.raises(DisclosureRefused, match="fewer people") as caught:
        consortium.gwas(phenotype="height")
    assert "180" not in str(caught.value)
    rare = ms.Policy.model_validate({"extends": "open", "disclosure": {"minimum_allele_count": 100}})
    with ms.local(parties, policy=rare) as consortium:
        table = consortium.gwas(phenotype="height").to_frame()
    copies = np.maximum(calls, 0).sum(axis=0)
    rarer = np.minimum(copies, 2 * (calls >= 0).sum(axis=0) - copies)
    assert ((table["ERRCODE"] == "MAC_BELOW_MINIMUM") == (rarer < 100)).all()
    assert table["BETA"][rarer < 100].isna().all()


@pytest.mark.parametrize("holders", [1, 10, 11])
@pytest.mark.parametrize(("role", "levels"), [("phenotype", 2), ("covariate", 2), ("covariate", 3)])
def test_a_level_held_by_few_people_is_not_analysed(tmp_path: Path, role: str, levels: int, holders: int) -> None:
    """Sums of products with a column that is 1 for one person are that person's record."""
    parties, traits, _ = genotype_sites(tmp_path, 3, 9)
    rare = np.zeros(len(traits), np.int64)
    rare[: 20 * (levels - 2)] = 1
    rare[100 : 100 + holders] = levels - 1
    for name, dataset in parties.items():
        frame = dataset.table.assign(rare=dataset.table["IID"].map(dict(zip(traits["IID"], rare, strict=True))))
        parties[name] = ms.Dataset(frame, genotypes=dataset.genotypes, id="IID")
    policy = ms.Policy.model_validate({"extends": "open", "disclosure": {"minimum_count": 11}})
    request = {"phenotype": "rare"} if role == "phenotype" else {"phenotype": "height", "covariates": ["rare"]}
    with ms.local(parties, policy=policy) as consortium:
        if holders < 11:
            with pytest.raises(DisclosureRefused, match="fewer people"):
                consortium.gwas(**request)
        else:
            assert consortium.gwas(**request).outcome.values["people"] == 180


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 61])
def test_too_few_or_too_many_institutions(lung: pd.DataFrame, count: int) -> None:
    with pytest.raises(SpecError, match="2 to 60"):
        ms.local({f"site{k}": lung for k in range(count)})


def test_an_error_names_the_party_and_not_the_record(lung: pd.DataFrame) -> None:
    parties = split(lung, 3, 1)
    parties["lakeside"].loc[0, "time"] = -87654
    with ms.local(parties) as consortium, pytest.raises(DataError) as caught:
        consortium.kaplan_meier(time="time", event="status")
    assert caught.value.party == "lakeside"
    assert "87654" not in str(caught.value)


def test_constant_and_collinear_columns_are_named(tmp_path: Path) -> None:
    parties, _, _ = genotype_sites(tmp_path, 3, 9)
    for name, dataset in parties.items():
        frame = dataset.table.assign(twice=2 * dataset.table["age"], flat=1.5)
        parties[name] = ms.Dataset(frame, genotypes=dataset.genotypes, id="IID")
    with ms.local(parties) as consortium:
        with pytest.raises(SpecError, match="collinear"):
            consortium.gwas(phenotype="height", covariates=["age", "twice"])
        with pytest.raises(SpecError, match="constant in the pooled data: flat"):
            consortium.gwas(phenotype="height", covariates=["age", "flat"])


def test_parties_with_different_variants_are_told_so(tmp_path: Path) -> None:
    parties, _, _ = genotype_sites(tmp_path, 3, 9)
    bim = Path(f"{parties['lakeside'].genotypes}.bim")
    bim.write_text(bim.read_text().replace("\tA\tG", "\tG\tA", 1))
    with ms.local(parties) as consortium, pytest.raises(DataError, match="variant list") as caught:
        consortium.gwas(phenotype="height")
    assert caught.value.party == "lakeside"
