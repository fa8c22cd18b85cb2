"""Where the published networks, their P and Set5 lie, which are not ours to ship; tests without them are skipped."""

from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[2] / "shared"
NCNN = BESIDE / "reference" / "ncnn"
PCA = BESIDE / "reference" / "srmd_pca_matlab.mat"
PICTURES = BESIDE / "images" / "test"
SET5 = PICTURES / "Set5"

needs_networks = pytest.mark.skipif(not (NCNN.is_dir() and PCA.is_file()), reason=f"the published networks: no {NCNN}")
needs_set5 = pytest.mark.skipif(not SET5.is_dir(), reason=f"the pictures of Set5: no {SET5}")
