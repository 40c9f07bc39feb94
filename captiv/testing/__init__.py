"""What tests need in place of a GPU, a RunPod account and photographs."""
