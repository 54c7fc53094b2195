-- I3. What is beyond the mark is no difference: reports add it.
SELECT format('quarter hour %%s of tenant %%s', (bucket).starts, (bucket).tenant_id),
       CASE side WHEN 'ledger'
            THEN format('%%s lines of {found} for %%s at %%s are not in the roll-ups as such',
                        (bucket).lines, (bucket).model, (bucket).upstream)
            ELSE format('the roll-ups have %%s lines of {stated} for %%s at %%s, the ledger has not',
                        (bucket).lines, (bucket).model, (bucket).upstream) END,
       CASE side WHEN 'ledger' THEN NULL ELSE (bucket).amount_pico END,
       CASE side WHEN 'ledger' THEN (bucket).amount_pico END, ''
FROM billing_rollup_differences(%(since)s::timestamptz)
