"""Mergeable statistics. For every state, state(A ∪ B) = state(A) merged with state(B), to the last bit and in any order."""
