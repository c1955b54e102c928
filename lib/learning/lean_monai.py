"""MONAI, imported without transformers.

`import monai` imports all of its networks, for one of them BERT, and so transformers: 2 of the 6 seconds of
CPU that a server's start took. Nobody here uses that network. Whatever imports MONAI after this module has
the same one; transformers can be imported as ever.
"""

import sys

_known = sys.modules.get("transformers")
if _known is None:
    sys.modules["transformers"] = None  # type: ignore[assignment]  # as if it were not installed
try:
    from monai import losses
finally:
    if _known is None:
        del sys.modules["transformers"]

__all__ = ["losses"]
