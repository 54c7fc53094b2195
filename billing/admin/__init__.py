"""The pages of money: prices, budgets, the ledger, and what is held right now."""

from billing.admin.budgets import BudgetAdmin, BudgetWindowAdmin
from billing.admin.holds import GatewayInstanceAdmin, HoldAdmin
from billing.admin.ledger import EntryAdmin
from billing.admin.prices import PriceAdmin
from billing.admin.proofs import ProofAdmin
from billing.admin.proposals import PriceProposalAdmin

__all__ = [
    "BudgetAdmin",
    "BudgetWindowAdmin",
    "EntryAdmin",
    "GatewayInstanceAdmin",
    "HoldAdmin",
    "PriceAdmin",
    "PriceProposalAdmin",
    "ProofAdmin",
]
