"""The public test kit: in-memory parties, scripted coins, real processes. Imported by nobody in the package."""
