"""What a question of the audit is, and the pieces of SQL that many of them begin with."""

from typing import NamedTuple


class Question(NamedTuple):
    """`wrong` selects one line of text for everything that contradicts; no row means it holds."""

    name: str
    sentence: str
    """Filled with the columns of `figures`."""
    figures: str
    wrong: str


def values(rows: list[tuple[int | str, ...]]) -> str:
    """The rows of a VALUES clause."""
    return ", ".join(f"({', '.join(map(repr, row))})" for row in rows)


HOUR_MS = 3_600_000
DAY_MS = 86_400_000

ACCEPTED = """
  SELECT c.id, b.at_ms, CAST(c.body ->> 'sender' AS TEXT) AS sender, c.said ->> 0 AS name,
         c.body ->> 'adult' AS adult,
         coalesce(c.body ->> 'visibility', 'public') = 'public' AS public,
         c.outcome ->> 'room' AS room, c.outcome ->> 'seq' AS seq, c.outcome ->> 'gift' AS gift,
         c.outcome ->> 'quantity' AS quantity, c.outcome ->> 'coins' AS coins,
         CAST(c.outcome ->> 'creator' AS TEXT) AS creator,
         c.outcome ->> 'millidiamonds' AS millidiamonds, c.outcome AS outcome
  FROM command AS c CROSS JOIN batch AS b ON b.id = c.batch
  WHERE c.kind = 'gift' AND c.outcome ->> 'kind' = 'gift_accepted'
"""
"""Gifts that were booked, in their order. CAST says what a column is: without that, a join cannot
use an index on it."""

RETRACTED = """
  SELECT g.command AS gift, m.room, m.gift_seq, r.command AS command
  FROM mark AS m
  CROSS JOIN event AS r ON r.room = m.room AND r.seq = m.seq
  CROSS JOIN event AS g ON g.room = m.room AND g.seq = m.gift_seq
  WHERE m.kind = 'retracted'
"""
"""The gifts that were taken back, and the command that did it."""

STEPS = f"""
  SELECT id, id AS command, 1 AS sign, at_ms, sender, public, creator, gift, quantity, coins,
         millidiamonds FROM ({ACCEPTED})
  UNION ALL
  SELECT c.id, r.command, -1, b.at_ms, CAST(c.body ->> 'sender' AS TEXT),
         coalesce(c.body ->> 'visibility', 'public') = 'public',
         CAST(c.outcome ->> 'creator' AS TEXT), c.outcome ->> 'gift', c.outcome ->> 'quantity',
         c.outcome ->> 'coins', c.outcome ->> 'millidiamonds'
  FROM ({RETRACTED}) AS r
  CROSS JOIN command AS c ON c.id = r.gift CROSS JOIN batch AS b ON b.id = c.batch
"""
"""Every gift as it was given, and once more with the sign -1 when it was taken back."""

RARE = """
  SELECT c.id, c.actor, c.kind, c.body, c.outcome, c.outcome ->> 'kind' AS what, b.at_ms
  FROM command AS c CROSS JOIN batch AS b ON b.id = c.batch
  WHERE c.kind <> 'gift'
    AND c.outcome ->> 'again' IS NULL AND c.outcome ->> 'kind' NOT IN ('refused', 'suspended')
"""
"""All other commands that did something."""

TAKEN = """
  SELECT c.id, c.what, t.value ->> 'creator' AS creator,
         coalesce(t.value ->> 'pending', 0) AS pending,
         coalesce(t.value ->> 'available', 0) AS available,
         coalesce(t.value ->> 'debt', 0) AS debt, coalesce(t.value ->> 'borne', 0) AS borne
  FROM rare AS c
  CROSS JOIN json_each(CASE c.what WHEN 'gift_retracted' THEN json_array(c.outcome -> 'taken')
                       ELSE c.outcome -> 'taken' END) AS t
  WHERE c.what IN ('gift_retracted', 'gifts_reversed', 'purchase_charged_back')
"""
"""What creators lost by a command. Needs `rare`, which is RARE as a CTE."""

POLICY_OF = "(SELECT max(command) FROM policy WHERE command < {})"
"""The policy that was in force for a command."""
