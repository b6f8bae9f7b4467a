"""Holds everything that is specific to Higgs Audio V2."""
