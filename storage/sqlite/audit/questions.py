"""The audit's questions that SQL can answer: each is a sentence with figures, and a query for what
contradicts it.

They say the invariants of the books a second time, in another language than the code that keeps
them, so that one misunderstanding cannot hide in both. Whether the rows are the ones that the
journal leads to is not asked here: that is what the replay is for (replay.py). Which invariant is
covered by which question is told in docs/operations.md.
"""

from storage.sqlite.audit import (
    creators_sql,
    gifts_sql,
    ledger_sql,
    money_sql,
    people_sql,
    tokens_sql,
)

QUESTIONS = (
    *ledger_sql.QUESTIONS,
    *gifts_sql.QUESTIONS,
    *people_sql.QUESTIONS,
    *money_sql.QUESTIONS,
    *creators_sql.QUESTIONS,
    *tokens_sql.QUESTIONS,
)
