"""Pure decisions: values in, values or decisions out. No I/O, clock, randomness or async."""
