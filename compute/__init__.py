"""Verbs: kernels on arrays, stages on tables, graphs on clusters."""
