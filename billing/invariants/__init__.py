"""The invariants of the ledger, each a check by name. docs/proof.md tells them to finance."""

from billing.invariants.amounts import recompute
from billing.invariants.check import Check, Finding, Scope, query

__all__ = ["CHECKS", "Check", "Finding", "Scope"]

CHECKS = (
    Check(
        "I1",
        "Attempts are numbered",
        "Every attempt at a provider has its own number within its request, and one line or hold.",
        query("attempts"),
    ),
    Check(
        "I2",
        "Hard budgets hold",
        "Posted and pending money of a hard budget never pass its limit.",
        query("limits"),
    ),
    Check(
        "I3",
        "Reports equal the ledger",
        "The roll-ups that reports read are the sums of the ledger lines folded into them.",
        query("rollups"),
    ),
    Check(
        "I4",
        "Nothing is charged twice",
        "A hold is settled into one line at most, and is gone once it is.",
        query("settled_once"),
    ),
    Check(
        "I5",
        "Amounts can be recomputed",
        "Each amount is what its quantities and the price rows that it names come to, exactly.",
        recompute,
    ),
    Check(
        "I6a",
        "Posted money is the lines' sum",
        "What a budget window has posted is the sum of the ledger lines that count against it.",
        query("posted"),
    ),
    Check(
        "I6b",
        "Pending money is the holds' sum",
        "What a budget window has pending is the sum of the holds that count against it.",
        query("pending"),
    ),
    Check(
        "I6c",
        "Calls count where they belong",
        "A line or hold counts against windows of its moment of admission and of its end user.",
        query("admission"),
    ),
    Check(
        "I7a",
        "Corrections are sound",
        "A correction names one original of the same call, and no attempt's net is below zero.",
        query("corrections"),
    ),
    Check(
        "I7b",
        "The ledger is locked",
        "The triggers and constraints that make it append-only are in force on every partition.",
        query("guards"),
    ),
    Check(
        "I8",
        "No money is forgotten",
        "No hold is older than a call can be, or outlives its gateway by more than a minute.",
        query("holds"),
    ),
    Check(
        "I9",
        "Tenants are apart",
        "A line or hold names a project, a key and budgets of its own tenant only.",
        query("tenants"),
    ),
    Check(
        "I10",
        "The ledger has room",
        "This month and the next ones have their partitions, so every line has a place.",
        query("partitions"),
    ),
)
