"""Telling people: a queue of notices, webhooks and e-mail."""
