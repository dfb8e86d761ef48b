"""What a model is judged by. Nothing in here trains the model that it judges."""
