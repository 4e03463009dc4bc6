"""Effective PSFs from stars cut out of one exposure or many."""
