"""Fuzzing of every parser that meets foreign bytes: targets, corpora, and the tests that run them."""
