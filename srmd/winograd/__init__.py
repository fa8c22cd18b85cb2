"""3×3 convolution by Winograd's minimal filtering, for CPUs."""
