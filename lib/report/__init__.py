"""Report text: findings from lesions, entities, metrics, and the check against the lesions."""
