"""OpenAI's protocol as its clients carry it: requests to turns, events to answers. Knows no deployment."""
