"""The forms in which the books leave: a table for spreadsheets, and plain-text accounting.

They are written while the books are read, from one moment of them, also while a server books.
"""

from collections.abc import Callable
from typing import TextIO

from storage.export.beancount import write_beancount
from storage.export.posted import Journal, iso
from storage.export.spreadsheet import plain_cell, write_csv

FORMATS: dict[str, Callable[[Journal, TextIO], int]] = {
    "csv": write_csv,
    "beancount": write_beancount,
}

__all__ = ["FORMATS", "Journal", "iso", "plain_cell"]
