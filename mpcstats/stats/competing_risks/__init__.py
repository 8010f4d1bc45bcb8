"""Competing risks: cumulative incidence, Gray's test and Fine-Gray regression, from pooled counts and pooled sums.

A person leaves a study by one of K causes or by censoring. `incidence`, `gray` and `censoring` are ordinary arithmetic
on opened counts; `risk_sets` is what one site adds up for a Fine-Gray regression; `joint` runs on shares.
"""
