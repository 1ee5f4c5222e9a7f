"""Credits: who earns and burns them, and what class that puts a vCPU in (Xen's credit scheduler).

One hundredth of a credit is burnt a microsecond, 300 credits in a timeslice of 30 ms.
"""

from __future__ import annotations

from collections.abc import Callable

from numaplace.models.units import ceil_div
from numaplace.solver.simulator.guest import Domain, Priority, VCpu

PER_US = 1
"""Hundredths of a credit burnt a microsecond."""


def burn(vcpu: VCpu, now: int) -> None:
    """Take the credit for the time a vCPU has run."""
    vcpu.credit -= (now - vcpu.burnt_us) * PER_US
    vcpu.burnt_us = now


class CreditBank:
    """Hands out credit once a timeslice.

    Parameters
    ----------
    domains
        All domains; their order changes as turns are taken.
    pcpus
        Number of pCPUs.
    timeslice_us
        Time between two hand-outs.
    """

    def __init__(self, domains: list[Domain], pcpus: int, timeslice_us: int) -> None:
        self._domains = list(domains)
        self._pcpus = pcpus
        self.slice_credit = timeslice_us * PER_US
        self._balance = 0

    def activate(self, vcpu: VCpu) -> None:
        """Let a vCPU earn credit from now on; a domain that earned none comes first."""
        vcpu.active = True
        if not vcpu.domain.active:
            self._to_head(vcpu.domain)
        vcpu.domain.active.append(vcpu)

    def _to_head(self, domain: Domain) -> None:
        self._domains.remove(domain)
        self._domains.insert(0, domain)

    def hand_out(self, park: Callable[[VCpu], None], unpark: Callable[[VCpu], None]) -> None:
        """Share the credit of all pCPUs among active domains by weight, and class their vCPUs.

        What a domain cannot use, since it has too few vCPUs or a cap, goes to those after it. While
        all together are in debt, more is handed out than is burnt, and each may earn more than it
        can burn: else those that have been OVER once would stay so for good.
        """
        shares = [d for d in self._domains if d.active]
        weight_total = sum(d.weight * len(d.active) for d in shares)
        debt, self._balance = max(0, -self._balance), 0
        if not weight_total:
            return
        credit_total = self.slice_credit * self._pcpus + debt
        weight_left, someone_short = weight_total, False
        for domain in shares:
            count = len(domain.active)
            weight = domain.weight * count
            weight_left -= weight
            peak = self.slice_credit * count + ceil_div(debt * weight, weight_total)
            if domain.cap:
                peak = min(peak, ceil_div(domain.cap * self.slice_credit, 100))
            fair = ceil_div(credit_total * weight, weight_total)
            if fair < peak:
                someone_short = True
            else:
                if weight_left:
                    credit_total += ceil_div((fair - peak) * weight_total, weight_left)
                if someone_short:  # next time what is left over goes to those that are short
                    self._to_head(domain)
                fair = peak
            self._class_all(domain, ceil_div(fair, count), park, unpark)

    def _class_all(
        self,
        domain: Domain,
        each: int,
        park: Callable[[VCpu], None],
        unpark: Callable[[VCpu], None],
    ) -> None:
        cap_each = 0
        if domain.cap:
            cap_each = ceil_div(domain.cap * self.slice_credit, 100 * len(domain.active))
        for vcpu in list(domain.active):
            vcpu.credit += each
            if vcpu.credit < 0:
                vcpu.priority = Priority.OVER
                if domain.cap and vcpu.credit < -cap_each and not vcpu.parked:
                    park(vcpu)
                vcpu.credit = max(vcpu.credit, -self.slice_credit)
            else:
                vcpu.priority = Priority.UNDER
                if vcpu.parked:
                    unpark(vcpu)
                if vcpu.credit > self.slice_credit:
                    vcpu.active = False
                    domain.active.remove(vcpu)
                    vcpu.credit //= 2
            self._balance += vcpu.credit
