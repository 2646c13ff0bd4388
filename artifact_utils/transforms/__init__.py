"""From a picture to what a model reads: looks at it in use, and frames and augmentation in training."""
