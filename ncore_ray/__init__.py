"""ncore_ray: an application delivery controller whose packet engines are Ray actors."""

__version__ = "0.1.0"
