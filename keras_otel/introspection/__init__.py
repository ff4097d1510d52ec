"""What a Keras model, its arrays and its variables say, and what this process knows of each model."""
