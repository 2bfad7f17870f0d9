"""HTTP/1.x: messages as kernels see them."""
