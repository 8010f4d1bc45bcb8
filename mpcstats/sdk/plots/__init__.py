"""Figures of results: matplotlib objects made without global state, legible in print and for colour-blind readers.

Its modules import matplotlib; the package itself does not.
"""
