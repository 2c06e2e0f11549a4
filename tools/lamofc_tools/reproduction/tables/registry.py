"""All plans by name."""

from __future__ import annotations

from collections.abc import Callable

from lamofc_store.errors import NotFound
from lamofc_tools.reproduction.parts import Plan
from lamofc_tools.reproduction.tables import dt_ufc, lamofc, lamofcbench

PLANS: dict[str, Callable[[], Plan]] = {**lamofcbench.PLANS, **lamofc.PLANS, **dt_ufc.PLANS}


def plan_of(name: str) -> Plan:
    """Return the plan of a table or figure."""
    if name not in PLANS:
        raise NotFound(f"there is no plan {name!r}; there are {', '.join(PLANS)}", "lamofc reproduce")
    return PLANS[name]()
