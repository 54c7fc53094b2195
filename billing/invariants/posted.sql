-- I6a. Of windows that were open at the moment asked for or later, from the first one's beginning.
WITH open AS (
    SELECT * FROM billing_budgetwindow WHERE ends > %(since)s::timestamptz
), charged AS (
    SELECT window_id, sum(amount_pico) AS pico
    FROM billing_entry, unnest(windows) AS window_id
    WHERE created >= (SELECT coalesce(min(starts), %(since)s::timestamptz) FROM open)
    GROUP BY window_id
)
SELECT format('window %%s of budget %%s', open.id, open.budget_id),
       'posted is {stated}, its lines come to {found}', open.posted_pico, coalesce(pico, 0), ''
FROM open LEFT JOIN charged ON charged.window_id = open.id
WHERE open.posted_pico <> coalesce(pico, 0)
UNION ALL
SELECT format('window %%s', window_id), 'there is none, but lines name it', NULL, NULL, ''
FROM charged WHERE NOT EXISTS (SELECT FROM billing_budgetwindow w WHERE w.id = window_id)
