-- A key may only name a project of its own tenant.
ALTER TABLE tenants_apikey ADD CONSTRAINT api_key_project_of_tenant
    FOREIGN KEY (project_id, tenant_id) REFERENCES tenants_project (id, tenant_id);
