"""Result bundles: what is in the file, how it is packed, and how anybody checks it."""
