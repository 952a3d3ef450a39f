"""Reading GAN files that other tools wrote, without running anything inside them."""
