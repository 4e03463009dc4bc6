"""Proper motions of stars and their surroundings, means of groups of them."""
