"""Parts of `segpet bench-load`: what is measured, and what is seen of the server meanwhile."""
