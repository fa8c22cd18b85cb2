"""`--mode=test`: HR pictures are degraded, restored and scored; LR pictures are restored."""
