"""MONAI Label's InferTasks: thin adapters over lib.interaction."""
