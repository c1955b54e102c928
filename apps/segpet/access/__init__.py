"""Who may do what: tokens and users, signing in, one table of roles, and the gate that all requests pass."""
