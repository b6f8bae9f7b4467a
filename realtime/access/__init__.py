"""Decides who may do what on this server, without I/O: from a request's head, a table of routes and a clock."""
