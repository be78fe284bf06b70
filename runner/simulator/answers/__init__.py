"""Answers: documents, images, downloads."""
