"""The bundled small models: how each was made (data, training, export), its weights and its card."""
