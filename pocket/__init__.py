"""The bundled small models: data generation, training, export, weights and cards."""
