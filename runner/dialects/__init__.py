"""How services speak: conversations as generators without I/O, driven by the engine or by a test."""
