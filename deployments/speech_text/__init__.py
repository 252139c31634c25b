"""Text as a model writes it, to text as a voice reads it. Pure: no engine, no state.

``markup`` and ``characters`` serve every language; all other modules are rules of English, which ``english`` applies.
"""
