"""A RunPod account as a person looks after it: its pods, what is on offer, what things cost.

For the command line and the page alike; nothing is printed here.
"""

from captiv.rental.account import Account, opened

__all__ = ["Account", "opened"]
