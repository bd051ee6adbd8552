"""Hands: landmarks, gestures, what a hand covers, writing in the air."""
