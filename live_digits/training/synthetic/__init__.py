"""Drawn pages: strokes, glyphs, symbols, texts, scenes and what a camera makes of them."""
