"""Shortcut scan: do images of one class share pixels that give the class away? No training, no torch."""
