"""Alembic's entry: the connection comes from `mpcstats.node.state.database`."""

from alembic import context

from mpcstats.node.state.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
