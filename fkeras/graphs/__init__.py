"""Graphs of layers: how recorded calls are replayed, and which outputs nothing reads."""
