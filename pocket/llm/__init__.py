"""The pocket language model: data generator, tokenizer, training, export and evaluation."""
