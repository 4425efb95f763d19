"""Fewer bits: watch a graph's values, choose ranges for them, plan each layer, write it down."""
