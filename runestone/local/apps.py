from django.apps import AppConfig


class LocalConfig(AppConfig):
    name = "runestone.local"
    label = "local"
    verbose_name = "The embedded stack"
