"""The settings: one table, and where its values come from."""
