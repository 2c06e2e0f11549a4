"""A feature database for frozen large models: coded small, committed safely, decoded on read.

Names load when they are first used, so that asking a catalog loads no torch and importing this loads next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamofc_codecs import Pool as Pool
    from lamofc_codecs import Profile as Profile
    from lamofc_codecs import Quality as Quality
    from lamofc_store import errors as errors
    from lamofc_store import sources as sources
    from lamofc_store.defaults import DEFAULT_CODEC as DEFAULT_CODEC
    from lamofc_store.defaults import DEFAULT_SNR_DB as DEFAULT_SNR_DB
    from lamofc_store.exporting import export as export
    from lamofc_store.ingest import FitProgress as FitProgress
    from lamofc_store.ingest import Progress as Progress
    from lamofc_store.ingest import Report as Report
    from lamofc_store.ingest import fit_profiles as fit_profiles
    from lamofc_store.ingest import plan as plan
    from lamofc_store.ingest import usual_quality as usual_quality
    from lamofc_store.loading import FeatureDataset as FeatureDataset
    from lamofc_store.loading import FeatureLoader as FeatureLoader
    from lamofc_store.loading import Joined as Joined
    from lamofc_store.loading import Padded as Padded
    from lamofc_store.maintenance import Metric as Metric
    from lamofc_store.maintenance import add_run as add_run
    from lamofc_store.maintenance import config_text as config_text
    from lamofc_store.opening import create as create
    from lamofc_store.opening import open as open
    from lamofc_store.sample import Sample as Sample
    from lamofc_store.storage import Cache as Cache
    from lamofc_store.store import Store as Store
    from lamofc_store.version import VERSION as __version__  # noqa: F401 - public, yet no name to import by *

_PUBLIC = {
    "lamofc_codecs": "Pool Profile Quality",
    "lamofc_store": "errors sources",
    "lamofc_store.exporting": "export",
    "lamofc_store.defaults": "DEFAULT_CODEC DEFAULT_SNR_DB",
    "lamofc_store.ingest": "FitProgress Progress Report fit_profiles plan usual_quality",
    "lamofc_store.loading": "FeatureDataset FeatureLoader Joined Padded",
    "lamofc_store.maintenance": "Metric add_run config_text",
    "lamofc_store.opening": "create open",
    "lamofc_store.sample": "Sample",
    "lamofc_store.storage": "Cache",
    "lamofc_store.store": "Store",
}
"""Public names by the package that they come from; a test holds the imports above, for type checkers, to it."""
_PLACES = {name: package for package, names in _PUBLIC.items() for name in names.split()}

__all__ = sorted(_PLACES, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("lamofc_store.version").VERSION
    if name not in _PLACES:
        raise AttributeError(f"module 'lamofc_store' has no attribute {name!r}")
    if _PLACES[name] == "lamofc_store":
        return import_module(f"lamofc_store.{name}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
