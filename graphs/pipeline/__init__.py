"""The stages of a request and the order in which they run. Knows neither HTTP nor, except in ``stages``, Ray."""
