"""Runestone: an OpenAI-compatible, multi-tenant LLM gateway whose money can be proved."""

__version__ = "0.1.0"
