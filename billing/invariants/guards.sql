-- I7b. From the catalogue: nothing here depends on what the ledger contains.
-- Triggers by pg_trigger.tgtype: 27 = row, before, delete or update; 34 = statement, before, truncate.
WITH ledger AS (
    SELECT 'billing_entry'::regclass AS part
    UNION ALL
    SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'billing_entry'::regclass
), trigger_wanted AS (
    SELECT part, name, type
    FROM ledger, (VALUES ('append_only', 27), ('never_truncated', 34)) wanted(name, type)
), constraint_wanted AS (
    SELECT part, name
    FROM ledger, (VALUES ('entry_kind'), ('entry_never_free_by_ignorance'),
                         ('entry_only_corrections_are_negative'),
                         ('entry_correction_names_its_original'),
                         ('entry_saves_only_when_cached')) wanted(name)
    UNION ALL
    VALUES ('billing_price'::regclass, 'price_periods_do_not_overlap'),
           ('billing_hold'::regclass, 'hold_not_negative'),
           ('billing_budgetwindow'::regclass, 'pending_not_negative'),
           ('billing_budgetwindow'::regclass, 'budget_window_once'),
           ('billing_budget'::regclass, 'budget_project_of_tenant'),
           ('billing_budget'::regclass, 'budget_api_key_of_tenant')
)
SELECT format('table %%s', part), format('its trigger %%s is missing or off', name), NULL, NULL, ''
FROM trigger_wanted
WHERE NOT EXISTS (
    SELECT FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
    WHERE t.tgrelid = part AND t.tgname = name AND t.tgtype = type
      AND t.tgenabled IN ('O', 'A') AND t.tgqual IS NULL AND t.tgattr::text = ''
      AND f.proname = 'billing_entry_is_append_only' AND f.prosrc LIKE '%%RAISE EXCEPTION%%')
UNION ALL
SELECT format('table %%s', part), format('its constraint %%s is missing', name), NULL, NULL, ''
FROM constraint_wanted
WHERE NOT EXISTS (
    SELECT FROM pg_constraint c
    WHERE c.conrelid = part AND c.conname = name AND c.convalidated)
