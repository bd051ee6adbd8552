"""Vision: frame to candidates, pure functions."""
