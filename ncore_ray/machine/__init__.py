"""The machine below the kernels: compilation, records, raw memory, atomics, and system calls."""
