"""The pocket speech recognizer: synthetic speech, noise, training, export to CTranslate2 and evaluation."""
