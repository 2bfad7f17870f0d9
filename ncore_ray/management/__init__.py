"""The management core: builds an appliance's actors, watches them, and says what they do."""
