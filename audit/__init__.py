"""Robustness audits of medical-image classifiers against few-pixel training perturbations.

Importing this package is cheap: torch, MONAI and the plotting libraries are imported by the modules
that use them, when they are used.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
