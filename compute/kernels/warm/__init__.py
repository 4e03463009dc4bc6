"""Kernels compiled before work begins, each once in a worker."""
