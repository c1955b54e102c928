"""Learning: data sets, evaluation, fine-tuning, choosing the next study."""
