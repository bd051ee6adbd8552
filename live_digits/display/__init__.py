"""Display: what is drawn over the picture, and the window."""
