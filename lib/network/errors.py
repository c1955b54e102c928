"""Errors of this package."""


class CheckpointError(ValueError):
    """A file of weights cannot be used; the message says why and what to do."""
