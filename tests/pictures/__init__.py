"""Pictures for people: programs that make them, and what they made."""
