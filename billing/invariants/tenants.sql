-- I9. By each combination of names once. A project and a key are looked up with their tenant.
WITH named AS (
    SELECT 'lines' AS what, tenant_id, project_id, api_key_id FROM billing_entry
    WHERE created >= %(since)s::timestamptz
    GROUP BY tenant_id, project_id, api_key_id
    UNION ALL
    SELECT 'holds', tenant_id, project_id, api_key_id FROM billing_hold
    GROUP BY tenant_id, project_id, api_key_id
), counted AS (
    SELECT 'lines' AS what, tenant_id, window_id FROM billing_entry, unnest(windows) AS window_id
    WHERE created >= %(since)s::timestamptz
    GROUP BY tenant_id, window_id
    UNION ALL
    SELECT 'holds', tenant_id, window_id FROM billing_hold, unnest(windows) AS window_id
    GROUP BY tenant_id, window_id
)
SELECT format('%%s of tenant %%s', what, n.tenant_id),
       CASE WHEN k.id IS NULL THEN format('they name key %%s, which is not its own', n.api_key_id)
            ELSE format('they name project %%s, which is not its own', n.project_id) END,
       NULL, NULL, ''
FROM named n
LEFT JOIN tenants_apikey k ON k.id = n.api_key_id AND k.tenant_id = n.tenant_id
LEFT JOIN tenants_project p ON p.id = n.project_id AND p.tenant_id = n.tenant_id
WHERE k.id IS NULL OR (n.project_id IS NOT NULL AND p.id IS NULL)
UNION ALL
SELECT format('%%s of tenant %%s', what, c.tenant_id),
       format('they count against budget %%s of tenant %%s', b.id, b.tenant_id), NULL, NULL, ''
FROM counted c
JOIN billing_budgetwindow w ON w.id = c.window_id
JOIN billing_budget b ON b.id = w.budget_id
WHERE b.tenant_id <> c.tenant_id
