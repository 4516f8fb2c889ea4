"""Images: the Debian bases, the build contexts, and the lab images built on them."""
