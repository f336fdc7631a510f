"""Nix without a network, in a store of the test's own; the real nixpkgs library where NIXPKGS_LIB names it."""

from nixfixtures import fleet, nix, nixpkgs_lib

__all__ = ["fleet", "nix", "nixpkgs_lib"]
