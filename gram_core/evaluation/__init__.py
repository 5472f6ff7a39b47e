"""Measures checkpoints: solve rates, coverage and cost, by width and depth."""
