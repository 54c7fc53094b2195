-- I8. A gateway lives while its heart beats or its session has the lock (billing/instances.py).
SELECT format('hold %%s', h.id),
       CASE WHEN i.fenced IS NOT NULL
            THEN format('{stated} is held by gateway %%s, dead since %%s', i.id, i.fenced)
            WHEN h.created < now() - make_interval(secs => %(hold_age)s + %(grace)s)
            THEN format('{stated} is held since %%s, longer than a call can last', h.created)
            ELSE format('{stated} is held by gateway %%s, silent since %%s', i.id, i.heartbeat) END,
       h.amount_pico, NULL, ''
FROM billing_hold h JOIN billing_gatewayinstance i ON i.id = h.instance_id
WHERE h.created < now() - make_interval(secs => %(hold_age)s + %(grace)s)
   OR i.fenced < now() - make_interval(secs => %(grace)s)
   OR (i.fenced IS NULL AND i.heartbeat < now() - make_interval(secs => %(silence)s + %(grace)s)
       AND NOT EXISTS (
           SELECT FROM pg_locks
           WHERE locktype = 'advisory' AND granted AND classid::bigint = %(lock_space)s
             AND objid::bigint = i.id
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))
