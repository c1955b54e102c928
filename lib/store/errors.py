"""What the store raises when it is asked for something it must not do, or finds its files damaged."""


class StoreError(ValueError):
    """Bad input to the store, or a damaged file in it; the message is one sentence for the user."""
