-- I4. The primary key is (id, created), as partitioning demands; that ids are unique by themselves
-- follows from settling, which deletes the hold. So it is looked up.
SELECT format('line %%s', id), format('the ledger has %%s lines of this id', count(*)),
       NULL, NULL, ''
FROM billing_entry WHERE created >= %(since)s::timestamptz
GROUP BY id HAVING count(*) > 1
UNION ALL
SELECT format('hold %%s', h.id), 'it is settled, and {stated} is still held for it',
       h.amount_pico, NULL, ''
FROM billing_hold h JOIN billing_entry e ON e.id = h.id
