"""Genetic association, stats floor. Where things are:

* What sites bring: `own` (their sums, in the clear), `alleles`, `pooled_counts` (counts on shares), `null_model` and
  `logistic_null` (the regression without variants), `site_indicators`, `principal_components`.
* What a variant is tested by: `pooled_test` (linear, score), `logistic_fit` (Wald, Firth), `contingency`, `meta`.
* Missing calls: `complete` with `missing` (people with a call, as PLINK), `imputed` (the pooled mean).
* What is opened: `statistics` (all variants, or comparisons for hits), `scan` (block by block), `genomic_control`,
  `variant_filters` (one bit), `contingency_release`.
* The run: `linear`, `logistic`, `variant_quality`, `contingency`, `meta`, `joint_components`; `store` keeps blocks of a
  scan that is interrupted, `ahead` works on the next one.
* Tables: `labels`, `linear_table`, `logistic_table`, `meta_table`, `variant_table`, `plink_text` (PLINK's print).
"""
