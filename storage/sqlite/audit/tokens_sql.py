"""The audit's questions about overlay links and revoked tokens."""

from storage.sqlite.audit.question import Question

_ISSUED = """
  SELECT c.id, CAST(c.outcome ->> 'room' AS TEXT) AS room, c.outcome ->> 'token_id' AS token_id,
         c.outcome ->> 'expires_ms' AS expires_ms, b.at_ms
  FROM command AS c CROSS JOIN batch AS b ON b.id = c.batch
  WHERE c.kind = 'issue_link' AND c.outcome ->> 'kind' = 'link_issued'
"""

LINKS = Question(
    "links",
    "{} rooms have an overlay link, the one that was issued last.",
    "SELECT count(*) FROM link",
    f"""
    WITH issued AS MATERIALIZED ({_ISSUED}), latest AS (
      SELECT room, max(id), token_id, expires_ms, at_ms FROM issued GROUP BY room)
    SELECT printf('the overlay link of %s is not the one that was issued last', i.room)
    FROM latest AS i LEFT JOIN link AS l ON l.id = i.room
    WHERE (l.token_id, l.expires_ms, l.issued_ms) IS NOT (i.token_id, i.expires_ms, i.at_ms)
    UNION ALL
    SELECT printf('the overlay link of %s was never issued', id)
    FROM link WHERE id NOT IN (SELECT room FROM issued)
    """,
)

REVOCATIONS = Question(
    "revocations",
    "{} tokens are revoked: by hand, or because another link took their place.",
    "SELECT count(*) FROM revocation",
    f"""
    WITH issued AS MATERIALIZED ({_ISSUED}), said AS (
      SELECT c.id, CAST(c.outcome ->> 'token_id' AS TEXT) AS token_id,
             coalesce(c.outcome ->> 'expires_ms', 0) AS expires_ms,
             c.body ->> 'reason' AS reason, b.at_ms
      FROM command AS c CROSS JOIN batch AS b ON b.id = c.batch
      WHERE c.kind = 'revoke_token' AND c.outcome ->> 'kind' = 'token_revoked'
        AND c.outcome ->> 'again' IS NULL
      UNION ALL
      SELECT id, lag(token_id) OVER places, lag(expires_ms) OVER places,
             'replaced by a new link', at_ms
      FROM issued WINDOW places AS (PARTITION BY room ORDER BY id)
    ), latest AS MATERIALIZED (
      SELECT token_id, max(id) AS command, expires_ms, reason, at_ms
      FROM said WHERE token_id IS NOT NULL GROUP BY token_id)
    SELECT printf('the token %s is not revoked as its commands say', s.token_id)
    FROM latest AS s LEFT JOIN revocation AS r ON r.id = s.token_id
    WHERE (r.expires_ms, r.reason, r.at_ms, r.command)
      IS NOT (s.expires_ms, s.reason, s.at_ms, s.command)
    UNION ALL
    SELECT printf('the token %s was never revoked', id)
    FROM revocation WHERE id NOT IN (SELECT token_id FROM latest)
    """,
)

QUESTIONS = (LINKS, REVOCATIONS)
