"""The forms in which the books leave: a table for spreadsheets, and plain-text accounting."""
