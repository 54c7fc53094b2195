"""The contract: what `/v1` and `/health` take and give, as OpenAPI 3.1.

    components   schemas of requests, made from the structs that decode them, their only source
    answers      schemas of answers, of which the gateway passes most as bytes
    examples     one of each, shown at /docs
    operations   what each endpoint is for, takes and gives
    urls         the endpoints once more, in the form that drf-spectacular reads
    document     all of it put together
    views        /docs, from static files of our own

`make contract` writes it to docs/openapi.yaml and docs/openapi.json, and a test compares. Nothing
here is loaded on the hot path: /docs and the command import it when they are asked.
"""
