"""Exposures of the same stars brought together: shared by the stages that average positions over exposures."""
