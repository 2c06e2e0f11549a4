"""Heads that are trained on features."""

from lamofc_tools.heads.linear import LinearHead, fit_linear

__all__ = ["LinearHead", "fit_linear"]
