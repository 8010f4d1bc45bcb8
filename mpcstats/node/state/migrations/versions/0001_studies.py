"""Entries, studies, statements, runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "entries",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("consortium", sa.String(64), nullable=False),
        sa.Column("party", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("study", sa.String(64), nullable=False),
        sa.Column("received", sa.String(40), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.UniqueConstraint("consortium", "party", "number"),
    )
    op.create_index("ix_entries_study", "entries", ["study"])
    op.create_table(
        "studies",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("study", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("proposer", sa.String(64), nullable=False),
    )
    op.create_index("ix_studies_name", "studies", ["name"])
    op.create_table(
        "statements",
        sa.Column("key", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("study", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.UniqueConstraint("study", "subject", "person", "attempt"),
    )
    op.create_index("ix_statements_study", "statements", ["study"])
    op.create_table(
        "runs",
        sa.Column("run", sa.String(64), primary_key=True),
        sa.Column("study", sa.String(64), nullable=False),
        sa.Column("occurrence", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("changed", sa.String(40), nullable=False),
    )
    op.create_index("ix_runs_study", "runs", ["study"])
