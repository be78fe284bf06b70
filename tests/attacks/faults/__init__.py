"""The faults that every release survives, served by a server of our own and judged by its journal."""
