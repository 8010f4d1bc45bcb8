"""The files that people write: where a wrong field stands, what is wrong with it, and what to write instead."""
