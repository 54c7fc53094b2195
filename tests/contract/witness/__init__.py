"""Every reply of every gateway that the suite starts is held against the vendors' descriptions.

asgi        stands in front of `runestone.asgi`, in the gateway's process, and sees each reply
shapes      what two replies have in common that are judged alike: one of them is kept
record      the kept replies, on their way to the process of the tests
verdicts    which description judges which endpoint
exemptions  where a test has the provider say what no description allows, and why
plugin      judges when the tests are over: a reply that is wrong fails the run

It is part of the tests alone: the product knows nothing of it.
"""
