"""Benchmarks: scenarios, the peers they compare with, how they are measured and how results are kept."""
