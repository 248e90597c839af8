"""The peer lab's third table: what is small, broken off, handed on, chosen, proved or refused, by real peers."""
