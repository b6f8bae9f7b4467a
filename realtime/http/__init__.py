"""How HTTP is served: connections, what passes before every route, replies."""
