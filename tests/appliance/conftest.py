"""The Ray of these tests."""

from tests.support.ray_kit import own_ray, ray_folder

__all__ = ["own_ray", "ray_folder"]
