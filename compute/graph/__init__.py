"""The only Dask: clusters, tasks, resuming, and the order of stages."""
