"""A feature database for frozen large models: coded small, committed safely, decoded on read.

Names load when they are first used: asking a catalog loads no torch, and importing this loads next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamofc_codecs import Pool, Profile, Quality
    from lamofc_store import errors, sources
    from lamofc_store.batches import Joined, Padded
    from lamofc_store.cache import Cache
    from lamofc_store.dataset import FeatureDataset
    from lamofc_store.exporting import export
    from lamofc_store.loader import FeatureLoader
    from lamofc_store.opening import create, open
    from lamofc_store.options import DEFAULT_CODEC, DEFAULT_SNR_DB, Report, usual_quality
    from lamofc_store.planning import fit_profiles, plan
    from lamofc_store.runs import Metric, add_run, config_text
    from lamofc_store.sample import Sample
    from lamofc_store.store import Store
    from lamofc_store.version import VERSION as __version__  # noqa: F401 - public, yet no name to import by *

__all__ = [
    "DEFAULT_CODEC",
    "DEFAULT_SNR_DB",
    "Cache",
    "FeatureDataset",
    "FeatureLoader",
    "Joined",
    "Metric",
    "Padded",
    "Pool",
    "Profile",
    "Quality",
    "Report",
    "Sample",
    "Store",
    "add_run",
    "config_text",
    "create",
    "errors",
    "export",
    "fit_profiles",
    "open",
    "plan",
    "sources",
    "usual_quality",
]

_PLACES = {
    "Cache": ("lamofc_store.cache", "Cache"),
    "FeatureDataset": ("lamofc_store.dataset", "FeatureDataset"),
    "FeatureLoader": ("lamofc_store.loader", "FeatureLoader"),
    "Joined": ("lamofc_store.batches", "Joined"),
    "Padded": ("lamofc_store.batches", "Padded"),
    "DEFAULT_CODEC": ("lamofc_store.options", "DEFAULT_CODEC"),
    "DEFAULT_SNR_DB": ("lamofc_store.options", "DEFAULT_SNR_DB"),
    "Metric": ("lamofc_store.runs", "Metric"),
    "Pool": ("lamofc_codecs", "Pool"),
    "Profile": ("lamofc_codecs", "Profile"),
    "Quality": ("lamofc_codecs", "Quality"),
    "Report": ("lamofc_store.options", "Report"),
    "Sample": ("lamofc_store.sample", "Sample"),
    "Store": ("lamofc_store.store", "Store"),
    "add_run": ("lamofc_store.runs", "add_run"),
    "config_text": ("lamofc_store.runs", "config_text"),
    "create": ("lamofc_store.opening", "create"),
    "export": ("lamofc_store.exporting", "export"),
    "fit_profiles": ("lamofc_store.planning", "fit_profiles"),
    "open": ("lamofc_store.opening", "open"),
    "plan": ("lamofc_store.planning", "plan"),
    "usual_quality": ("lamofc_store.options", "usual_quality"),
    "__version__": ("lamofc_store.version", "VERSION"),
}


def __getattr__(name: str) -> Any:
    if name in ("errors", "sources"):
        return import_module(f"lamofc_store.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'lamofc_store' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
