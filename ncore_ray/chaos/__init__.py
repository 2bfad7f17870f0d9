"""Faults put into a running appliance on purpose, and what is to be true all the same."""
