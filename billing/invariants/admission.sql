-- I6c. A window that does not exist is I6a's and I6b's to tell.
SELECT format('%%s %%s', counted.what, counted.id),
       CASE WHEN counted.created >= w.starts AND counted.created < w.ends
            THEN format('it counts against window %%s, which is another end user''s', w.id)
            ELSE format('it was admitted at %%s, when window %%s was not open',
                        counted.created, w.id) END,
       NULL, NULL, ''
FROM (SELECT 'line' AS what, id, created, end_user, windows FROM billing_entry
      WHERE created >= %(since)s::timestamptz
      UNION ALL
      SELECT 'hold', id, created, end_user, windows FROM billing_hold) counted,
     unnest(counted.windows) AS window_id
JOIN billing_budgetwindow w ON w.id = window_id
WHERE counted.created < w.starts OR counted.created >= w.ends
   OR w.end_user NOT IN ('', coalesce(counted.end_user, ''))
