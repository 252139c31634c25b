"""The routes under /v1, as OpenAI's clients use them."""
