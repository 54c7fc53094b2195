-- The money statements. Each is one call, one transaction, one commit for a whole batch.
--
-- Locks: budget windows in order of id, always, and nothing that others lock while holding them;
-- so two batches can never deadlock.
-- Planner settings: with default plans these functions scan the windows and holds sequentially
-- through hash joins (4.0 ms instead of 0.5 ms a call). tests/billing/test_plans.py guards them.

-- A new database runs this file before the migrations that add what its functions read.
SET LOCAL check_function_bodies = off;

-- The budgets that a call counts against, all at once: its tenant's, its project's and its key's,
-- for all models or for the one called. Each with its window of this moment; null if it has none.
-- A budget per end user has one window for each of them, and one for the calls that name nobody.
CREATE OR REPLACE FUNCTION billing_windows_of(
    payer bigint, payers_project bigint, payers_key bigint, called text, spender text,
    moment timestamptz)
RETURNS TABLE (budget_id bigint, window_id bigint) LANGUAGE sql STABLE
AS $$
    SELECT b.id, w.id
    FROM billing_budget b
    LEFT JOIN LATERAL (
        -- The latest first: what has been open before is not read again.
        SELECT id FROM billing_budgetwindow
        WHERE budget_id = b.id AND starts <= moment AND ends > moment
          AND end_user = CASE WHEN b.per_end_user THEN coalesce(spender, '') ELSE '' END
        ORDER BY starts DESC LIMIT 1) w ON true
    WHERE b.tenant_id = payer AND b.active
      AND (b.project_id IS NULL OR b.project_id = payers_project)
      AND (b.api_key_id IS NULL OR b.api_key_id = payers_key)
      AND (b.model = '' OR b.model = called);
$$;

-- By how much raises lift a budget's limit at this moment.
CREATE OR REPLACE FUNCTION billing_raised(raised_budget bigint, moment timestamptz) RETURNS numeric
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(sum(extra_pico), 0) FROM billing_budgetraise
    WHERE budget_id = raised_budget AND starts <= moment AND ends > moment;
$$;

-- Reserves money for attempts, in order of arrival. Each element of `attempts`:
--   {id, request_id, tenant_id, project_id, api_key_id, upstream, model, end_user (null: nobody is
--    named), service_tier, attempt, byok, amount_pico (null where no price is known),
--    estimate_pico (null likewise)}
-- Returns per attempt: 0 granted (its hold is a row now); b > 0 refused by hard budget b;
-- b < 0 budget -b has no window for this moment yet (open it and ask again). What costs nothing,
-- as a cached answer does, is granted even where a hard budget is exhausted or overdrawn.
CREATE OR REPLACE FUNCTION billing_hold(owner bigint, attempts json) RETURNS bigint[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    -- One element per pair of an attempt and a budget that it counts against.
    numbers int[];
    budgets bigint[];
    windows bigint[];
    amounts bigint[];
    -- When the windows were ours: a raise that ended while we waited for them is over.
    decided timestamptz;
    results bigint[] := '{}';
    verdict bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM billing_gatewayinstance WHERE id = owner AND fenced IS NULL) THEN
        RAISE EXCEPTION 'gateway instance % is fenced', owner USING ERRCODE = 'RS001';
    END IF;

    -- From here on a window that somebody opens meanwhile counts as missing.
    SELECT array_agg(a.number), array_agg(f.budget_id), array_agg(f.window_id),
           array_agg(a.amount_pico)
      INTO numbers, budgets, windows, amounts
      FROM ROWS FROM (json_to_recordset(attempts) AS (
               tenant_id bigint, project_id bigint, api_key_id bigint, model text, end_user text,
               amount_pico bigint))
           WITH ORDINALITY
           AS a(tenant_id, project_id, api_key_id, model, end_user, amount_pico, number),
           LATERAL billing_windows_of(
               a.tenant_id, a.project_id, a.api_key_id, a.model, a.end_user, moment) f;

    PERFORM FROM billing_budgetwindow w WHERE w.id = ANY(windows)
      ORDER BY w.id FOR NO KEY UPDATE;
    decided := clock_timestamp();

    -- The common case: there is room for the whole batch, and one statement books it. Raises are
    -- looked up only where the plain limit is in the way.
    IF NOT EXISTS (
        SELECT FROM (SELECT p.budget_id, p.window_id, sum(p.amount) AS amount,
                            bool_or(p.amount IS NULL) AS unpriced
                     FROM unnest(budgets, windows, amounts) p(budget_id, window_id, amount)
                     GROUP BY 1, 2) wanted
        JOIN billing_budget b ON b.id = wanted.budget_id
        LEFT JOIN billing_budgetwindow w ON w.id = wanted.window_id
        WHERE w.id IS NULL OR (b.hard AND (wanted.unpriced OR (wanted.amount > 0
              AND w.posted_pico + w.pending_pico + wanted.amount > w.limit_pico
              AND w.posted_pico + w.pending_pico + wanted.amount
                  > w.limit_pico + billing_raised(b.id, decided)))))
    THEN
        PERFORM billing_book_holds(owner, attempts, windows, moment);
        RETURN array_fill(0::bigint, ARRAY[json_array_length(attempts)]);
    END IF;

    -- Near a limit: one by one in order of arrival, so that whoever fits is served.
    FOR number IN 1..json_array_length(attempts) LOOP
        SELECT coalesce(min(CASE WHEN w.id IS NULL THEN -b.id END),
                        min(CASE WHEN b.hard AND (p.amount IS NULL OR (p.amount > 0
                                   AND w.posted_pico + w.pending_pico + p.amount > w.limit_pico
                                   AND w.posted_pico + w.pending_pico + p.amount
                                       > w.limit_pico + billing_raised(b.id, decided)))
                            THEN b.id END),
                        0)
          INTO verdict
          FROM unnest(numbers, budgets, windows, amounts) p(attempt, budget_id, window_id, amount)
          JOIN billing_budget b ON b.id = p.budget_id
          LEFT JOIN billing_budgetwindow w ON w.id = p.window_id
          WHERE p.attempt = number;
        IF verdict = 0 THEN
            PERFORM billing_book_holds(
                owner, json_build_array(attempts -> (number - 1)), windows, moment);
        END IF;
        results := results || verdict;
    END LOOP;
    RETURN results;
END $$;

-- Books granted holds. Its caller has locked the windows `locked` and found room in them; a budget
-- that somebody adds meanwhile counts from the next call on.
CREATE OR REPLACE FUNCTION billing_book_holds(
    owner bigint, attempts json, locked bigint[], moment timestamptz)
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
BEGIN
    WITH booked AS (
        INSERT INTO billing_hold (id, request_id, tenant_id, project_id, api_key_id, upstream,
                                  model, end_user, service_tier, attempt, byok, amount_pico,
                                  estimate_pico, instance_id, created, windows)
        SELECT a.id, a.request_id, a.tenant_id, a.project_id, a.api_key_id, a.upstream,
               a.model, a.end_user, a.service_tier, a.attempt, a.byok, coalesce(a.amount_pico, 0),
               a.estimate_pico, owner, moment,
               ARRAY(SELECT f.window_id
                     FROM billing_windows_of(a.tenant_id, a.project_id, a.api_key_id, a.model,
                                             a.end_user, moment) f
                     WHERE f.window_id = ANY(locked) ORDER BY f.window_id)
        FROM json_to_recordset(attempts) AS a(
            id uuid, request_id uuid, tenant_id bigint, project_id bigint, api_key_id bigint,
            upstream text, model text, end_user text, service_tier text, attempt smallint,
            byok boolean, amount_pico bigint, estimate_pico bigint)
        RETURNING windows, amount_pico)
    UPDATE billing_budgetwindow w SET pending_pico = w.pending_pico + held.amount
    FROM (SELECT unnest(windows) AS window_id, sum(amount_pico) AS amount
          FROM booked GROUP BY 1) held
    WHERE w.id = held.window_id;
END $$;

-- Turns holds into ledger lines: deletes the hold, writes the entry, moves the windows' money from
-- pending to posted. Each element of `lines`: {id, kind, amount_pico, price_state, price_ids,
-- input_tokens … web_searches, service_tier, usage_source, status, error, streamed,
-- upstream_request_id, first_byte_ms, duration_ms, saved_pico, routing}.
-- Returns the ids that were settled now. One that is missing was settled before, or its hold was
-- swept: settling twice finds nothing, so nothing is ever charged twice.
CREATE OR REPLACE FUNCTION billing_settle(lines json) RETURNS uuid[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    -- An array, not a subquery: where the statistics call the holds empty (they are, between
    -- bursts), the planner would read the whole index of dead rows for every line.
    ids uuid[] := ARRAY(SELECT (l ->> 'id')::uuid FROM json_array_elements(lines) l);
    settled uuid[];
BEGIN
    PERFORM FROM billing_budgetwindow w
      WHERE w.id IN (SELECT unnest(h.windows) FROM billing_hold h WHERE h.id = ANY(ids))
      ORDER BY w.id FOR NO KEY UPDATE;

    WITH line AS (
        SELECT * FROM json_to_recordset(lines) AS l(
            id uuid, kind text, amount_pico bigint, price_state text, price_ids json,
            input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint,
            cache_write_1h_tokens bigint, input_audio_tokens bigint, output_tokens bigint,
            reasoning_tokens bigint, output_audio_tokens bigint, web_searches bigint,
            service_tier text, usage_source text, status smallint, error text, streamed boolean,
            upstream_request_id text, first_byte_ms int, duration_ms int, saved_pico bigint,
            routing jsonb)
    ), hold AS (
        DELETE FROM billing_hold h WHERE h.id = ANY(ids)
        RETURNING h.*
    ), entry AS (
        INSERT INTO billing_entry (
            id, created, posted, kind, request_id, tenant_id, project_id, api_key_id, upstream,
            model, end_user, windows, amount_pico, price_state, price_ids, held_pico, input_tokens,
            cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, input_audio_tokens,
            output_tokens, reasoning_tokens, output_audio_tokens, web_searches, service_tier,
            usage_source, status, error, streamed, upstream_request_id, first_byte_ms, duration_ms,
            attempt, byok, saved_pico, routing)
        SELECT
            h.id, h.created, clock_timestamp(), l.kind, h.request_id, h.tenant_id, h.project_id,
            h.api_key_id, h.upstream, h.model, h.end_user, h.windows, l.amount_pico, l.price_state,
            ARRAY(SELECT json_array_elements_text(l.price_ids)::bigint), h.amount_pico,
            l.input_tokens, l.cached_input_tokens, l.cache_write_tokens, l.cache_write_1h_tokens,
            l.input_audio_tokens, l.output_tokens, l.reasoning_tokens, l.output_audio_tokens,
            l.web_searches, l.service_tier, l.usage_source, l.status,
            l.error, l.streamed, l.upstream_request_id, l.first_byte_ms, l.duration_ms, h.attempt,
            h.byok, l.saved_pico, l.routing
        FROM hold h JOIN line l ON l.id = h.id
        RETURNING id, windows, held_pico, amount_pico
    ), moved AS (
        UPDATE billing_budgetwindow w
        SET pending_pico = w.pending_pico - m.held, posted_pico = w.posted_pico + m.amount
        FROM (SELECT unnest(windows) AS window_id, sum(held_pico) AS held,
                     coalesce(sum(amount_pico), 0) AS amount
              FROM entry GROUP BY 1) m
        WHERE w.id = m.window_id
    )
    SELECT array_agg(id) INTO settled FROM entry;
    RETURN coalesce(settled, '{}');
END $$;

-- Brings the net of an attempt's lines to `amount_pico` each, by a correction line of the
-- difference. Each element of `bills`: {id (of the original), amount_pico, usage_source, price_ids,
-- price_state, input_tokens … web_searches, service_tier}. Tokens of a correction are the difference,
-- so that sums over lines stay right. Idempotent: no line where there is no difference.
-- `only_orphans`: leave alone all but orphan lines that nobody has corrected yet; for a late settle,
-- whose figures are worth more than a sweep's estimate, and less than a provider's bill.
-- Returns the ids of the originals that were corrected.
CREATE OR REPLACE FUNCTION billing_correct(bills json, only_orphans boolean) RETURNS uuid[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    ids uuid[] := ARRAY(SELECT (b ->> 'id')::uuid FROM json_array_elements(bills) b);
    corrected uuid[];
BEGIN
    -- Only corrections lock entries: two of one original must not run side by side.
    PERFORM FROM billing_entry e WHERE e.id = ANY(ids) ORDER BY e.id FOR UPDATE;
    PERFORM FROM billing_budgetwindow w
      WHERE w.id IN (SELECT unnest(e.windows) FROM billing_entry e WHERE e.id = ANY(ids))
      ORDER BY w.id FOR NO KEY UPDATE;

    WITH bill AS (
        SELECT * FROM json_to_recordset(bills) AS b(
            id uuid, amount_pico bigint, price_state text, price_ids json,
            input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint,
            cache_write_1h_tokens bigint, input_audio_tokens bigint, output_tokens bigint,
            reasoning_tokens bigint, output_audio_tokens bigint, web_searches bigint,
            service_tier text, usage_source text)
    ), known AS (
        SELECT coalesce(e.corrects, e.id) AS id, count(*) AS lines,
               sum(e.amount_pico) AS amount_pico,
               sum(e.input_tokens) AS input_tokens,
               sum(e.cached_input_tokens) AS cached_input_tokens,
               sum(e.cache_write_tokens) AS cache_write_tokens,
               sum(e.cache_write_1h_tokens) AS cache_write_1h_tokens,
               sum(e.input_audio_tokens) AS input_audio_tokens,
               sum(e.output_tokens) AS output_tokens,
               sum(e.reasoning_tokens) AS reasoning_tokens,
               sum(e.output_audio_tokens) AS output_audio_tokens,
               sum(e.web_searches) AS web_searches
        FROM bill JOIN billing_entry e ON e.id = bill.id OR e.corrects = bill.id
        GROUP BY 1
    ), entry AS (
        INSERT INTO billing_entry (
            id, created, posted, kind, corrects, request_id, tenant_id, project_id, api_key_id,
            upstream, model, end_user, windows, amount_pico, price_state, price_ids, held_pico,
            input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens,
            input_audio_tokens, output_tokens, reasoning_tokens, output_audio_tokens,
            web_searches, service_tier, usage_source, status, error, streamed, upstream_request_id,
            first_byte_ms, duration_ms, attempt, byok)
        SELECT
            gen_random_uuid(), o.created, clock_timestamp(), 'correction', o.id, o.request_id,
            o.tenant_id, o.project_id, o.api_key_id, o.upstream, o.model, o.end_user, o.windows,
            -- A price that is unknown now says nothing about what was charged before.
            CASE WHEN b.amount_pico IS NULL AND k.amount_pico IS NULL THEN NULL
                 ELSE coalesce(b.amount_pico, k.amount_pico) - coalesce(k.amount_pico, 0) END,
            CASE WHEN b.amount_pico IS NULL AND k.amount_pico IS NOT NULL THEN 'estimated'
                 ELSE b.price_state END,
            ARRAY(SELECT json_array_elements_text(b.price_ids)::bigint), 0,
            b.input_tokens - k.input_tokens,
            b.cached_input_tokens - k.cached_input_tokens,
            b.cache_write_tokens - k.cache_write_tokens,
            b.cache_write_1h_tokens - k.cache_write_1h_tokens,
            b.input_audio_tokens - k.input_audio_tokens,
            b.output_tokens - k.output_tokens,
            b.reasoning_tokens - k.reasoning_tokens,
            b.output_audio_tokens - k.output_audio_tokens,
            b.web_searches - k.web_searches,
            b.service_tier, b.usage_source, o.status, o.error, o.streamed, o.upstream_request_id,
            o.first_byte_ms, o.duration_ms, o.attempt, o.byok
        FROM bill b JOIN known k ON k.id = b.id JOIN billing_entry o ON o.id = b.id
        WHERE ((b.amount_pico IS NOT NULL AND b.amount_pico IS DISTINCT FROM k.amount_pico)
               OR b.input_tokens <> k.input_tokens OR b.output_tokens <> k.output_tokens)
          AND (NOT only_orphans OR (o.kind = 'orphan' AND k.lines = 1))
        RETURNING corrects, windows, amount_pico
    ), moved AS (
        UPDATE billing_budgetwindow w SET posted_pico = w.posted_pico + m.amount
        FROM (SELECT unnest(windows) AS window_id, coalesce(sum(amount_pico), 0) AS amount
              FROM entry GROUP BY 1) m
        WHERE w.id = m.window_id
    )
    SELECT array_agg(corrects) INTO corrected FROM entry;
    RETURN coalesce(corrected, '{}');
END $$;

-- Declares dead every gateway whose heartbeat is older than `silence` and whose session is gone.
-- Fencing comes first: from then on the instance can take no new holds. Returns how many.
CREATE OR REPLACE FUNCTION billing_fence(lock_space int, silence interval) RETURNS int
LANGUAGE sql
AS $$
    WITH silent AS MATERIALIZED (
        SELECT id FROM billing_gatewayinstance
        WHERE fenced IS NULL AND heartbeat < clock_timestamp() - silence
    ), dead AS (
        UPDATE billing_gatewayinstance i SET fenced = clock_timestamp() FROM silent
        WHERE i.id = silent.id AND pg_try_advisory_xact_lock(lock_space, silent.id::int)
        RETURNING 1
    )
    SELECT count(*)::int FROM dead;
$$;

-- Resolves as orphan lines the holds of fenced instances, and those older than any call can last.
-- `policy`: estimate (its input, as if nothing came out), hold_max (all that was held) or zero.
-- Returns how many it resolved, at most `most`.
CREATE OR REPLACE FUNCTION billing_sweep(policy text, age_max interval, most int) RETURNS int
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    lines json;
BEGIN
    SELECT json_agg(json_build_object(
        'id', h.id, 'kind', 'orphan', 'price_ids', json_build_array(),
        'price_state', CASE WHEN h.estimate_pico IS NULL THEN 'unpriced' ELSE 'estimated' END,
        'amount_pico', CASE WHEN h.estimate_pico IS NULL THEN NULL
                            WHEN policy = 'hold_max' THEN h.amount_pico
                            WHEN policy = 'zero' THEN 0 ELSE h.estimate_pico END,
        'input_tokens', 0, 'cached_input_tokens', 0, 'cache_write_tokens', 0,
        'cache_write_1h_tokens', 0, 'input_audio_tokens', 0, 'output_tokens', 0,
        'reasoning_tokens', 0, 'output_audio_tokens', 0, 'web_searches', 0,
        'service_tier', h.service_tier, 'usage_source', 'none', 'status', 0,
        'error', 'gateway_died', 'streamed', false, 'upstream_request_id', '',
        'first_byte_ms', NULL, 'duration_ms', 0))
      INTO lines
      FROM (SELECT * FROM billing_hold
            WHERE instance_id IN (SELECT id FROM billing_gatewayinstance WHERE fenced IS NOT NULL)
               OR created < clock_timestamp() - age_max
            LIMIT most) h;
    IF lines IS NULL THEN
        RETURN 0;
    END IF;
    RETURN coalesce(array_length(billing_settle(lines), 1), 0);
END $$;

-- An operator's new limit holds for the windows that are open, too, however it was set.
CREATE OR REPLACE FUNCTION billing_limit_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- One for each end user, it may be: locked in order, as everywhere.
    open bigint[] := ARRAY(
        SELECT id FROM billing_budgetwindow
        WHERE budget_id = NEW.id AND starts <= clock_timestamp() AND ends > clock_timestamp()
        ORDER BY id FOR NO KEY UPDATE);
BEGIN
    UPDATE billing_budgetwindow SET limit_pico = NEW.limit_pico WHERE id = ANY(open);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER limit_changed AFTER UPDATE OF limit_pico ON billing_budget
    FOR EACH ROW EXECUTE FUNCTION billing_limit_changed();
