"""A run: asked for, reserved, computed, watched, sealed, and taken up again where it broke off."""
