"""Fixtures of the graph's tests."""

from tests.graph.running import client, frames, measured, own_frames, whole

__all__ = ["client", "frames", "measured", "own_frames", "whole"]
