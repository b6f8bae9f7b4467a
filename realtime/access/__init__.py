"""Who may do what here: decided without I/O, from a request's head, a table and a clock."""
