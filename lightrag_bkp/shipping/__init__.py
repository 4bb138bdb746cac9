"""Sending copies of graphs to targets."""
