"""The pocket vision model: generated pictures and questions, vision tower, export and evaluation."""
