"""What costs money: pods rented from a provider, for a run or by hand, and what they cost."""
