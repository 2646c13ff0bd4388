"""Weights that come with the package, with their licences: the portrait detector and the YuNet face detector."""
