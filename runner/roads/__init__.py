"""Ways from a row to a result, each a `Road` of the engine."""
