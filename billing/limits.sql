-- What a budget's limit was before it was changed, so that a window that is over its limit can be
-- explained, or cannot.
CREATE FUNCTION billing_limit_is_past() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_pastlimit (budget_id, limit_pico, hard, until)
    VALUES (OLD.id, OLD.limit_pico, OLD.hard, clock_timestamp());
    RETURN NULL;
END $$;

CREATE TRIGGER limit_is_past AFTER UPDATE ON billing_budget FOR EACH ROW
    WHEN ((OLD.limit_pico, OLD.hard) IS DISTINCT FROM (NEW.limit_pico, NEW.hard))
    EXECUTE FUNCTION billing_limit_is_past();
