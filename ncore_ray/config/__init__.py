"""Configuration: YAML text → a checked, frozen value (`load.parse`) → YAML text again (`load.dump`)."""
