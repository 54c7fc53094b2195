-- I10. A line without a partition waits in its gateway's memory until there is one.
SELECT format('month %%s', to_char(month, 'YYYY-MM')), 'the ledger has no partition for it',
       NULL, NULL, ''
FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                     date_trunc('month', now() AT TIME ZONE 'UTC')
                         + make_interval(months => %(months_ahead)s),
                     interval '1 month') AS month
WHERE NOT EXISTS (
    SELECT FROM pg_inherits
    WHERE inhparent = 'billing_entry'::regclass
      AND inhrelid = to_regclass('billing_entry_' || to_char(month, 'YYYY_MM')))
