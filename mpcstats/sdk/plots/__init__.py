"""Figures of results: matplotlib objects made without global state, legible in print and for colour-blind readers.

`mpcstats.sdk.plots.survival`, `.association` and `.counts` import matplotlib; this package itself does not.
"""
