"""POST /chat, the endpoint of Parley itself."""
