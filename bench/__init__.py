"""Measures the gateway against its goals, side by side with its floors and peers, in one run.

python -m bench            the whole programme, some minutes
python -m bench --quick    the same in half a minute, to see whether something broke

    machine.py    the machine, its cores and its disk; CPU time and memory of processes
    load.py       the load generator: raw sockets, requests made beforehand, a process of its own
    relay.py      the floor: a bare relay over aiohttp that knows no keys and no money
    servers.py    what is measured: the mock itself, the bare relay, Runestone, LiteLLM
    ledger.py     the database that Runestone runs on, and the proof that each answer was booked
    rounds.py     alternating rounds, of which the best counts
    money.py      holds and settles alone, without HTTP
    report.py     the tables

Absolute numbers belong to a machine; the ratios within one run are the result.
"""
