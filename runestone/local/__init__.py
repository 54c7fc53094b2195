"""The embedded stack behind `manage.py up`: Postgres, Valkey and every process of Runestone."""
