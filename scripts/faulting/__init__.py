"""The fault run of `segpet faults`: a server that is killed again and again, and what must outlive that."""
