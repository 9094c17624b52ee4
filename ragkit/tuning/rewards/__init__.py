"""Reward models from rankings, and what they choose: best of n, and rejection samples."""
