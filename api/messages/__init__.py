"""Anthropic's Messages API, in front of providers that speak OpenAI's chat wire.

Translation only: the request becomes a chat request (`chat`, `turns`), which goes down the one
pipeline; its answer becomes a message (`answers`) or Anthropic's events (`streams`).
"""
