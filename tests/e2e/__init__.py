"""The appliance on Ray between independent programs: curl, nginx, wrk, ab, aiohttp, the kernel's own stack."""
