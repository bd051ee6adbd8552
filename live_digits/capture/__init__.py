"""Capture: frames from cameras, streams, files and the demo."""
