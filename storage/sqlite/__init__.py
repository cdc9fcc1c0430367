"""The ledger in one SQLite file: everything that knows SQLite lives in this folder."""
