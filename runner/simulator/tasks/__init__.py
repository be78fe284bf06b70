"""Tasks: their life, and what polls are answered."""
