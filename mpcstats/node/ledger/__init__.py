"""What was released before, and what may still be released beside it."""
