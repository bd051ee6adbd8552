"""Core: values, errors, threads and files that every room uses."""
