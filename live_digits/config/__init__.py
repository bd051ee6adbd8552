"""Config: settings, their limits, and the file that holds them."""
