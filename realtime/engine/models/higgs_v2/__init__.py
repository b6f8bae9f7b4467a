"""Higgs Audio V2: everything that is specific to this model."""
