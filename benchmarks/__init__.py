"""Benchmarks: each measures one claim, prints a table and, last, one line of JSON, also kept in results/."""
