"""The test bed: hosts in network namespaces, origin servers, a checking load client, and their displays; dry parts."""
