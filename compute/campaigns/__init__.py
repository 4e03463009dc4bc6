"""Campaigns that come with the package, read by name."""
