"""What a node remembers of studies: entries, statements of its people, runs. SQLite by default, PostgreSQL by URL."""
