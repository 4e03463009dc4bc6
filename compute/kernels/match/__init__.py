"""Nearest neighbours between catalogues, whole or in tiles."""
