"""Tracking: what is known of each candidate from frame to frame."""
