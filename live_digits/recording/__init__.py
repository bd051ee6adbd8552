"""Recording: annotated video that is never lost, its catalogue and repair."""
