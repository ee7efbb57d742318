"""The contract of a layer, and what follows from it: see `base.py`. The layers themselves are one floor up."""
