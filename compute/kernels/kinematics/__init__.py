"""Populations of stars told apart by place and motion, and what moves within them."""
