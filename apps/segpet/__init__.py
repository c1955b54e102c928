"""The SegPET app: main.py for MONAI Label, server.py for what is served."""
