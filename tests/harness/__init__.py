"""Private servers and Sluice instances for tests and benchmarks: started on free ports, stopped at the end."""
