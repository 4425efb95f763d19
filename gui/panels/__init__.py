"""The parts of pages that have several: each asks for one thing and shows what came of it."""
