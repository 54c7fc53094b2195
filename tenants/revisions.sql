-- Counts every change of the configuration tables, by topic; see runestone/lib/revisions.py.

CREATE TABLE config_revision (topic varchar(32) PRIMARY KEY, number bigint NOT NULL);
INSERT INTO config_revision VALUES ('access', 1), ('catalog', 1), ('prices', 1);

CREATE FUNCTION config_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE config_revision SET number = number + 1 WHERE topic = TG_ARGV[0];
    RETURN NULL;
END $$;

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants_tenant
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed('access');
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants_apikey
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed('access');
