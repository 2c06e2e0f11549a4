"""Profiles: which one codes a feature, fitted where the store has none, and whether it fits.

In: items. Out: the profile of each item, committed before anything is coded by it."""

from lamofc_store.ingest.profiles import profile_fitting
from lamofc_store.ingest.profiles.fit_samples import items_to_fit
from lamofc_store.ingest.profiles.profile_check import ProfileCheck
from lamofc_store.ingest.profiles.profile_choice import ProfileChoice
from lamofc_store.ingest.profiles.profile_fitting import NothingToFit, channels_differ

__all__ = [
    "NothingToFit",
    "ProfileCheck",
    "ProfileChoice",
    "channels_differ",
    "items_to_fit",
    "profile_fitting",
]
