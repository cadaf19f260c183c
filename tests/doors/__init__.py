"""The specification's rules, one by one, against a gateway on a real port."""
