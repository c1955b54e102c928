"""Servers: each folder is a MONAI Label app."""
