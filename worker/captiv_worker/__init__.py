"""The worker: one model behind HTTP, in a pod, on this machine, or on a box of one's own."""
