"""Layers that prepare images, and those that vary them while training."""
