"""Competing risks: cumulative incidence, Gray's test and Fine-Gray regression, from pooled counts and pooled sums.

A person leaves a study by one of K causes or by censoring. `incidence`, `gray` and `censoring` are ordinary arithmetic
on opened counts, `joint` is curves and test over sites. A Fine-Gray regression is a Cox regression with other risk
sets: `weighted` and `robust` are what one site adds up, `exits` how people leave, `fine_gray` is the fit over sites and
`sandwich` its robust variance.
"""
