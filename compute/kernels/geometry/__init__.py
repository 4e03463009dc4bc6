"""Distortions of detectors: how they are applied, solved for and judged."""
