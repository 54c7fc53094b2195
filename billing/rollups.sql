-- Roll-ups: the ledger's lines, summed by quarter hour of admission and by all that reports group by.
--
-- Derived, never counted per call. A fold takes the lines of the transactions after the mark and
-- before every transaction that still runs, and moves the mark in its own transaction; so each line
-- is folded exactly once, wherever a crash falls. Not by a sequence: a line whose transaction commits
-- late has a lower number than lines that are folded already, and would be lost.
-- What is beyond the mark is the live tail. Reports add it, and so are never behind.

-- Quarter hours, for time zones are whole quarters of an hour away from UTC.
CREATE OR REPLACE FUNCTION billing_quarter(moment timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT date_bin('15 minutes', moment, '2000-01-01T00:00Z') $$;

-- Histograms of milliseconds: cell n counts [bound n - 1, bound n), the last all beyond. The bounds
-- are billing/latency.py's; buckets that are summed must have them in common, so they never change.
CREATE OR REPLACE FUNCTION billing_histogram_count(cells integer[], ms integer) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    cell integer := 1 + width_bucket(ms, ARRAY[
        10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000,
        10000, 15000, 20000, 30000, 60000, 120000, 300000]);
BEGIN
    cells[cell] := cells[cell] + 1;
    RETURN cells;
END $$;

CREATE OR REPLACE FUNCTION billing_histogram_add(one integer[], other integer[]) RETURNS integer[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT array_agg(a + b ORDER BY number)
    FROM unnest(one, other) WITH ORDINALITY AS cell(a, b, number)
$$;

-- No milliseconds, no count: whoever has none was not measured.
CREATE OR REPLACE AGGREGATE billing_histogram(integer) (
    SFUNC = billing_histogram_count, STYPE = integer[],
    COMBINEFUNC = billing_histogram_add, PARALLEL = SAFE,
    INITCOND = '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}'
);

CREATE TABLE billing_usagebucket (
    tenant_id bigint NOT NULL,
    starts timestamptz NOT NULL,
    project_id bigint NOT NULL,
    api_key_id bigint NOT NULL,
    upstream varchar(63) NOT NULL,
    model varchar(200) NOT NULL,
    kind varchar(16) NOT NULL,
    price_state varchar(16) NOT NULL,
    status smallint NOT NULL,
    service_tier varchar(16) NOT NULL,
    byok boolean NOT NULL,
    lines bigint NOT NULL,
    amount_pico numeric(30, 0) NOT NULL,
    saved_pico numeric(30, 0) NOT NULL,
    input_tokens bigint NOT NULL,
    cached_input_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    cache_write_1h_tokens bigint NOT NULL,
    input_audio_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    output_audio_tokens bigint NOT NULL,
    web_searches bigint NOT NULL,
    durations integer[] NOT NULL,
    first_bytes integer[] NOT NULL,
    PRIMARY KEY (tenant_id, starts, project_id, api_key_id, upstream, model, kind, price_state,
                 status, service_tier, byok)
);
CREATE INDEX billing_usagebucket_starts ON billing_usagebucket (starts);

-- The last transaction whose lines are folded, in the only row, which every fold locks.
CREATE TABLE billing_rollupmark (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    folded_to xid8 NOT NULL
);
INSERT INTO billing_rollupmark (folded_to) VALUES ('0');

-- Without it, a fold reads the whole ledger to find its newest lines (docs/rollups.md has figures).
CREATE INDEX billing_entry_xid ON billing_entry (xid);

-- The lines of the transactions in (after, upto], admitted in [since, until), as buckets. All that
-- folds, rebuilds, checks or reads the tail has its sums from here. A correction has its original's
-- `created`, and so falls into its original's bucket; what it says of time was counted there.
CREATE OR REPLACE FUNCTION billing_usage(
    after xid8, upto xid8, since timestamptz, until timestamptz)
RETURNS SETOF billing_usagebucket LANGUAGE sql STABLE
AS $$
    SELECT tenant_id, billing_quarter(created), coalesce(project_id, 0), api_key_id, upstream, model,
           kind, price_state, status, service_tier, byok,
           count(*),
           coalesce(sum(amount_pico), 0)::numeric(30, 0),
           coalesce(sum(saved_pico), 0)::numeric(30, 0),
           sum(input_tokens)::bigint,
           sum(cached_input_tokens)::bigint,
           sum(cache_write_tokens)::bigint,
           sum(cache_write_1h_tokens)::bigint,
           sum(input_audio_tokens)::bigint,
           sum(output_tokens)::bigint,
           sum(reasoning_tokens)::bigint,
           sum(output_audio_tokens)::bigint,
           sum(web_searches)::bigint,
           billing_histogram(duration_ms) FILTER (WHERE kind IN ('charge', 'void', 'cached')),
           billing_histogram(first_byte_ms) FILTER (WHERE kind IN ('charge', 'void', 'cached'))
    FROM billing_entry
    WHERE xid > after AND xid <= upto AND created >= since AND created < until
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
$$;

-- Folds the oldest lines beyond the mark: at least `most`, if there are so many, and all of one
-- transaction together. Returns how many it asked for and found: fewer than `most` means that all is
-- folded. While another process folds, it does nothing and returns 0.
CREATE OR REPLACE FUNCTION billing_rollup_fold(most int) RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
    mark xid8;
    newest xid8;
    horizon xid8;
    last xid8;
    found_lines bigint;
BEGIN
    SELECT folded_to INTO mark FROM billing_rollupmark FOR UPDATE SKIP LOCKED;
    IF mark IS NULL THEN
        RETURN 0;
    END IF;
    -- What was seen before has ended or is our own. What seems younger came with a dump from another
    -- cluster, whose transactions were numbered further; ours would be lost below the mark.
    SELECT greatest(max(xid), mark) INTO newest FROM billing_entry;
    IF newest > greatest(pg_snapshot_xmax(pg_current_snapshot()), pg_current_xact_id()) THEN
        RAISE EXCEPTION 'the ledger has transactions of another cluster: see docs/rollups.md'
            USING ERRCODE = 'RS003';
    END IF;

    -- Whatever is older than this has ended, and whatever it wrote is seen by all that follows.
    horizon := pg_snapshot_xmin(pg_current_snapshot());
    SELECT max(xid), count(*) INTO last, found_lines FROM (
        SELECT xid FROM billing_entry WHERE xid > mark AND xid < horizon ORDER BY xid LIMIT most) e;
    IF last IS NULL THEN
        RETURN 0;
    END IF;

    INSERT INTO billing_usagebucket AS b
    SELECT * FROM billing_usage(mark, last, '-infinity', 'infinity')
    ON CONFLICT ON CONSTRAINT billing_usagebucket_pkey DO UPDATE SET
        lines = b.lines + EXCLUDED.lines,
        amount_pico = b.amount_pico + EXCLUDED.amount_pico,
        saved_pico = b.saved_pico + EXCLUDED.saved_pico,
        input_tokens = b.input_tokens + EXCLUDED.input_tokens,
        cached_input_tokens = b.cached_input_tokens + EXCLUDED.cached_input_tokens,
        cache_write_tokens = b.cache_write_tokens + EXCLUDED.cache_write_tokens,
        cache_write_1h_tokens = b.cache_write_1h_tokens + EXCLUDED.cache_write_1h_tokens,
        input_audio_tokens = b.input_audio_tokens + EXCLUDED.input_audio_tokens,
        output_tokens = b.output_tokens + EXCLUDED.output_tokens,
        reasoning_tokens = b.reasoning_tokens + EXCLUDED.reasoning_tokens,
        output_audio_tokens = b.output_audio_tokens + EXCLUDED.output_audio_tokens,
        web_searches = b.web_searches + EXCLUDED.web_searches,
        durations = billing_histogram_add(b.durations, EXCLUDED.durations),
        first_bytes = billing_histogram_add(b.first_bytes, EXCLUDED.first_bytes);
    UPDATE billing_rollupmark SET folded_to = last;
    RETURN found_lines;
END $$;

-- Makes the buckets that begin in [since, until) anew from the lines up to the mark, and swaps them
-- in. Readers see the old ones until it commits; folding waits. Returns how many buckets there are.
CREATE OR REPLACE FUNCTION billing_rollup_rebuild(since timestamptz, until timestamptz)
RETURNS bigint
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
    mark xid8;
    buckets bigint;
BEGIN
    IF since <> billing_quarter(since) OR until <> billing_quarter(until) THEN
        RAISE EXCEPTION 'roll-ups are rebuilt by whole quarter hours'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT folded_to INTO STRICT mark FROM billing_rollupmark FOR UPDATE;
    DELETE FROM billing_usagebucket WHERE starts >= since AND starts < until;
    INSERT INTO billing_usagebucket SELECT * FROM billing_usage('0', mark, since, until);
    GET DIAGNOSTICS buckets = ROW_COUNT;
    RETURN buckets;
END $$;

-- What is not folded yet, of one tenant or (null) of all. Being STABLE, it sees what the statement
-- that calls it sees: its mark is that of the buckets beside it, so no line counts twice or never.
CREATE OR REPLACE FUNCTION billing_usage_tail(tenant bigint, since timestamptz, until timestamptz)
RETURNS SETOF billing_usagebucket
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
    mark xid8;
BEGIN
    SELECT folded_to INTO STRICT mark FROM billing_rollupmark;
    RETURN QUERY
    SELECT * FROM billing_usage(mark, '18446744073709551615', since, until) u
    WHERE tenant IS NULL OR u.tenant_id = tenant;
END $$;

-- Where the roll-ups are not the ledger: each row is a bucket as one side has it, and the other side
-- has not. No rows: they are equal, to the pico-dollar and the token, in one snapshot.
CREATE OR REPLACE FUNCTION billing_rollup_differences(
    since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT 'infinity')
RETURNS TABLE (side text, bucket billing_usagebucket)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
    mark xid8;
BEGIN
    SELECT folded_to INTO STRICT mark FROM billing_rollupmark;
    RETURN QUERY
    WITH ledger AS MATERIALIZED (
        SELECT * FROM billing_usage('0', mark, billing_quarter(since), until)
    ), folded AS (
        SELECT * FROM billing_usagebucket WHERE starts >= billing_quarter(since) AND starts < until
    )
    SELECT 'ledger', row(l.*)::billing_usagebucket
    FROM (SELECT * FROM ledger EXCEPT SELECT * FROM folded) l
    UNION ALL
    SELECT 'bucket', row(b.*)::billing_usagebucket
    FROM (SELECT * FROM folded EXCEPT SELECT * FROM ledger) b;
END $$;
