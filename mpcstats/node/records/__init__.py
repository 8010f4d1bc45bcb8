"""A party's own records: read, checked, without those that lack consent, and made into numbers."""
