"""The pocket recognizer: synthetic voices, noise, training, export to CTranslate2 and evaluation."""
