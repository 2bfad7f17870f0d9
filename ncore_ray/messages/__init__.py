"""Core-to-core messages: msgpack values between engines, distributor and management, by shared memory or by Ray."""
