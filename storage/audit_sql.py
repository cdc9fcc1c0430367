"""The audit's questions that SQL can answer: each is a sentence with figures, and a query for what
contradicts it.

They say the invariants of the books a second time, in another language than the code that keeps
them, so that one misunderstanding cannot hide in both. Whether the rows are the ones that the
journal leads to is not asked here: that is what the replay is for (storage/audit_replay.py). Which
invariant is covered by which question is told in docs/operations.md.
"""

from storage import (
    audit_creators_sql,
    audit_gifts_sql,
    audit_ledger_sql,
    audit_money_sql,
    audit_people_sql,
)

QUESTIONS = (
    *audit_ledger_sql.QUESTIONS,
    *audit_gifts_sql.QUESTIONS,
    *audit_people_sql.QUESTIONS,
    *audit_money_sql.QUESTIONS,
    *audit_creators_sql.QUESTIONS,
)
