"""The ingress deployment and the graph that it runs: requests to turns, turns to plans, plans to events."""
