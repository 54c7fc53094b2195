-- I2. A hold is granted only where it fits, so a window passes its limit in four ways: providers
-- bill more than was held, a raise ends, the limit is lowered, or a budget that was only watched is
-- made hard. Each leaves evidence: on the lines, in billing_budgetraise, in billing_pastlimit.
-- Beyond it, an excess is a fault.
WITH excess AS (
    SELECT w.id, w.budget_id, w.starts, w.ends, w.limit_pico,
           w.posted_pico + w.pending_pico AS used
    FROM billing_budgetwindow w JOIN billing_budget b ON b.id = w.budget_id
    WHERE b.hard AND w.ends > %(since)s::timestamptz
      AND w.posted_pico + w.pending_pico > w.limit_pico
), overrun AS (
    SELECT x.id, sum(CASE WHEN e.kind = 'correction' THEN greatest(e.amount_pico, 0)
                          ELSE greatest(e.amount_pico - e.held_pico, 0) END) AS pico
    FROM excess x JOIN billing_entry e ON x.id = ANY(e.windows)
                                      AND e.created >= x.starts AND e.created < x.ends
    GROUP BY x.id
), term AS (
    SELECT budget_id, limit_pico, hard, until,
           lag(until, 1, '-infinity') OVER (PARTITION BY budget_id ORDER BY until, id) AS since
    FROM billing_pastlimit
), past AS (
    SELECT x.id, max(term.limit_pico) AS limit_pico, bool_or(NOT term.hard) AS was_watched
    FROM excess x JOIN term ON term.budget_id = x.budget_id
                           AND term.until > x.starts AND term.since < x.ends
    GROUP BY x.id
), raised AS (
    -- Raises add up, and they are at their highest when one of them begins.
    SELECT x.id, max((SELECT sum(other.extra_pico) FROM billing_budgetraise other
                      WHERE other.budget_id = x.budget_id AND other.starts <= one.starts
                        AND other.ends > one.starts)) AS pico
    FROM excess x JOIN billing_budgetraise one ON one.budget_id = x.budget_id
                                              AND one.starts < x.ends AND one.ends > x.starts
    GROUP BY x.id
), evidence AS (
    SELECT x.*, coalesce(overrun.pico, 0) AS overrun, coalesce(raised.pico, 0) AS raised,
           greatest(past.limit_pico, x.limit_pico) AS highest, past.was_watched
    FROM excess x
    LEFT JOIN overrun ON overrun.id = x.id
    LEFT JOIN past ON past.id = x.id
    LEFT JOIN raised ON raised.id = x.id
)
SELECT format('window %%s of budget %%s', id, budget_id),
       'posted and pending come to {found}, its limit is {stated}', limit_pico, used,
       CASE WHEN used <= limit_pico + overrun THEN 'providers billed more than was held'
            WHEN used <= limit_pico + raised + overrun THEN 'the limit was raised for a while'
            WHEN was_watched THEN 'the budget was only watched for a part of the time'
            WHEN used <= highest + raised + overrun
            THEN 'the limit was lowered below what was spent'
            ELSE '' END
FROM evidence
