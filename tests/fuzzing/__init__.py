"""Coverage-guided fuzzing of the way of a request and of an answer: ``make fuzz``, and a replay of its corpus."""
