"""The same job written by hand, as somebody would who needs the figures once: each day's cost by hour and key.

The bench's log alone is understood: one bill by the hour, GPUs named by each request, `gpu_ms` in all of them, no
cached request weighed, one pool. Money is a double here. Each module has `day(files) -> a table` of hour, model,
feature, tenant, team, cost_type and cost, and is run as `python -m bench.handwritten.NAME FOLDER OUT`.
"""
