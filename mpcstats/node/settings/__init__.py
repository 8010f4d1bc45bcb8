"""A party's settings and the files that hold them."""
