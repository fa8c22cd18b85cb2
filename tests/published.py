"""Paths of the published networks, their P and Set5, which this project may not distribute.

Tests that need them are skipped where they are missing.
"""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
NCNN = SHARED / "reference" / "ncnn"
PCA = SHARED / "reference" / "srmd_pca_matlab.mat"
PICTURES = SHARED / "images" / "test"
SET5 = PICTURES / "Set5"

needs_networks = pytest.mark.skipif(
    not (NCNN.is_dir() and PCA.is_file()), reason=f"needs the published networks in {NCNN}"
)
needs_set5 = pytest.mark.skipif(not SET5.is_dir(), reason=f"needs the pictures of Set5 in {SET5}")
