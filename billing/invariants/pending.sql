-- I6b. All windows, whenever they ended: holds are few.
WITH held AS (
    SELECT window_id, sum(amount_pico) AS pico
    FROM billing_hold, unnest(windows) AS window_id GROUP BY window_id
)
SELECT format('window %%s of budget %%s', w.id, w.budget_id),
       'pending is {stated}, its holds come to {found}', w.pending_pico, coalesce(pico, 0), ''
FROM billing_budgetwindow w LEFT JOIN held ON held.window_id = w.id
WHERE w.pending_pico <> coalesce(pico, 0)
UNION ALL
SELECT format('window %%s', window_id), 'there is none, but holds name it', NULL, NULL, ''
FROM held WHERE NOT EXISTS (SELECT FROM billing_budgetwindow w WHERE w.id = window_id)
