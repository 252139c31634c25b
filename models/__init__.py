"""The catalogue of models: where their files are, how they get into the cache, and where the engines find them.

``python -m models`` is the command. Only ``models.pull`` and the modules that it imports use the network.
"""
