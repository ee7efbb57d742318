"""What everything stands on: settings, trees, dtypes, random keys, symbols. Nothing here knows of layers."""
