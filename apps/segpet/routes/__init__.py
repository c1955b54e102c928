"""The HTTP routes, as MONAI Label names them."""
