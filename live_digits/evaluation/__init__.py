"""How well networks and the whole reader do, on sets that choose nothing."""
