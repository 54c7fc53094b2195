"""Every reply of every gateway that the suite starts is held against the vendors' descriptions.

asgi        what runs in the gateway's process: `runestone.asgi`, with a witness
attended    the wrapper between an application and its server, by which the witness sees replies
record      the witness itself, and what it hands to the process of the tests
shapes      what two replies have in common that are judged alike: one of them is kept
verdicts    which description judges which endpoint
plugin      judges when the tests are over: a reply that is wrong fails the run

Nobody is exempt. What vendors add, the descriptions allow; where the mock provider is told to send
what they do not allow, the gateway owes its caller an error, or a mended answer.

It is part of the tests alone: the product knows nothing of it.
"""
