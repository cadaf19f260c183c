"""How the gateway reaches the machines that run it: packages, containers, services, and the documents as a site."""
