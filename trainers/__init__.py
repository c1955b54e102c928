"""MONAI Label's TrainTasks: thin adapters over lib."""
