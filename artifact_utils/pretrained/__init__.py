"""Weights that come with the package, with their licences: the portrait detector, blocks of CLIP, and YuNet."""
