"""Reading: what every candidate on a page is, decided by learned networks."""
