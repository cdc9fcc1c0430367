"""The live half: connections, rooms and what everybody in them sees."""
