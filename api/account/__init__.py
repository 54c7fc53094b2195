"""`/api/v1`: what a tenant may read of its own account, with a key of the scope `usage`."""
