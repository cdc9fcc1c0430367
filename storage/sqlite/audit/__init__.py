"""The audit of books in SQLite: what is asked of them, in SQL and by settling them again."""
