"""The budget: reserved before each send, settled by its outcome, never exceeded, over restarts too."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.cost import Estimate
from runner.text.wording import money_text
from schemas.job import BudgetTable


@dataclass
class Budget:
    """spent_usd: settled and maybe-billed money of the folder's whole life. requests: sent in the folder's whole life."""

    caps: BudgetTable
    spent_usd: float
    requests: int
    reserved_usd: float = 0.0

    def amount(self, estimate: Estimate) -> float:
        """USD to set aside for a request: its worst case, or the middle of its range with `budget.cutoff = "soft"`."""
        if estimate.high is None:
            return 0.0
        soft = self.caps.cutoff == "soft" and estimate.low is not None
        return (estimate.low + estimate.high) / 2 if soft and estimate.low is not None else estimate.high

    def refusal(self, estimate: Estimate) -> str | None:
        """Why a request may not be sent now; None when it may."""
        if self.caps.max_requests is not None and self.requests >= self.caps.max_requests:
            return f"--max-requests {self.caps.max_requests} reached"
        if self.caps.max_cost is not None:
            if estimate.high is None:
                return "--max-cost cannot be kept: no price is known for the next request; add --price USD (an image)"
            after = self.spent_usd + self.reserved_usd + self.amount(estimate)
            if after > self.caps.max_cost + 1e-9:
                spent = f"{money_text(self.spent_usd)} spent or maybe spent"
                return f"budget of {money_text(self.caps.max_cost)} reached (--max-cost): {spent}"
        return None

    def reserve(self, estimate: Estimate) -> float:
        """Count the request and set its estimate aside; the amount, in USD."""
        amount = self.amount(estimate)
        self.reserved_usd += amount
        self.requests += 1
        return amount

    def rejoin(self, reserved_usd: float) -> float:
        """An earlier run's request is under way again: what it set aside counts as spent no longer."""
        self.spent_usd = max(0.0, self.spent_usd - reserved_usd)
        self.reserved_usd += reserved_usd
        return reserved_usd

    def settle(self, reserved_usd: float, *, cost_usd: float | None, maybe_billed: bool) -> None:
        """Replace what was set aside by what the attempt cost; what may have been paid counts as paid."""
        self.reserved_usd = max(0.0, self.reserved_usd - reserved_usd)
        if maybe_billed:
            self.spent_usd += max(reserved_usd, cost_usd or 0.0)
        elif cost_usd is not None:
            self.spent_usd += cost_usd
