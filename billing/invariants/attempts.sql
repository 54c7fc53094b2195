-- I1. An attempt is a line or still a hold, never both (I4). A number without either was given up
-- before money was held for it, so no provider was called: a budget, a breaker, a vendor's quirk.
-- A cached answer is no attempt. A request's attempts may begin before the moment asked for.
WITH attempt AS (
    SELECT request_id, attempt, created FROM billing_entry
    WHERE kind NOT IN ('correction', 'cached')
      AND created >= %(since)s::timestamptz - interval '1 hour'
    UNION ALL
    SELECT request_id, attempt, created FROM billing_hold
), request AS (
    SELECT request_id, count(*) AS lines, count(DISTINCT attempt) AS numbers,
           min(attempt) AS first, max(attempt) AS last
    FROM attempt GROUP BY request_id
    HAVING max(created) >= %(since)s::timestamptz
       AND (count(*) <> count(DISTINCT attempt) OR count(*) <> max(attempt) OR min(attempt) < 1)
)
SELECT format('request %%s', request_id),
       CASE WHEN lines <> numbers THEN format('%%s attempts share %%s numbers', lines, numbers)
            WHEN first < 1 THEN format('its first attempt is number %%s', first)
            ELSE format('%%s of %%s attempts have a line', lines, last) END,
       NULL, NULL,
       CASE WHEN lines = numbers AND first >= 1
            THEN 'the others were given up before money was held' ELSE '' END
FROM request
