"""What comes after a run: sending chosen rows again, looking back at their attempts, removing superseded images."""
