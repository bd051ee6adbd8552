"""Training and evaluation: data, drawn handwriting, networks, export, tables and pictures.

May import TensorFlow and matplotlib, always inside functions; nothing on the live path imports it.
"""
