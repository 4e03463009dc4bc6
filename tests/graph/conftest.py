"""Fixtures of the graph's tests."""

from tests.graph.running import client, frames, own_frames

__all__ = ["client", "frames", "own_frames"]
