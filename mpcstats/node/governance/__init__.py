"""Studies at a node: entries kept and exchanged, people's statements, approvals, and what may run."""
