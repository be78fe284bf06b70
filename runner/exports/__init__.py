"""Datasets made of a folder's images: one module a family of layouts, over what they share."""
