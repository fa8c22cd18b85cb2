"""Picture files, label and noise maps, PSNR and SSIM, and the built-in pictures."""
