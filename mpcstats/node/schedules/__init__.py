"""Scheduled studies: the engine that starts what is due, its book, and what people see of it."""
