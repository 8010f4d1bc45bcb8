"""Fixtures of the tests of nodes."""

from tests.node.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
