-- I7a. A correction has its original's time of admission, and so its month and its windows.
WITH correction AS (
    SELECT * FROM billing_entry
    WHERE corrects IS NOT NULL AND created >= %(since)s::timestamptz
), net AS (
    SELECT o.id, o.amount_pico, o.input_tokens + sum(c.input_tokens) AS input_tokens,
           o.output_tokens + sum(c.output_tokens) AS output_tokens,
           coalesce(o.amount_pico, 0) + coalesce(sum(c.amount_pico), 0) AS pico
    FROM correction c JOIN billing_entry o ON o.id = c.corrects AND o.created = c.created
    GROUP BY o.id, o.created
)
SELECT format('line %%s', c.id),
       CASE WHEN o.id IS NULL THEN 'it corrects a line that there is not'
            WHEN o.corrects IS NOT NULL THEN 'it corrects a correction'
            WHEN o.tenant_id <> c.tenant_id THEN 'it corrects another tenant''s line'
            ELSE 'it is of another call than the line that it corrects' END,
       NULL, NULL, ''
FROM correction c LEFT JOIN billing_entry o ON o.id = c.corrects AND o.created = c.created
WHERE o.id IS NULL OR o.corrects IS NOT NULL
   OR (o.tenant_id, o.api_key_id, o.request_id, o.attempt, o.upstream, o.model, o.windows)
      IS DISTINCT FROM
      (c.tenant_id, c.api_key_id, c.request_id, c.attempt, c.upstream, c.model, c.windows)
UNION ALL
SELECT format('line %%s', id),
       CASE WHEN pico < 0 THEN 'with its corrections it comes to {found}'
            ELSE 'with its corrections it has fewer than no tokens' END,
       NULL, pico, ''
FROM net WHERE pico < 0 OR input_tokens < 0 OR output_tokens < 0
