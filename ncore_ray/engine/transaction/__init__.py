"""Transactions: requests of one connection are served by different engines, their answers go back in order."""
