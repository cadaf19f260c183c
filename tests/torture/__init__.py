"""What takes long: every fault of the machine told in a table, and a soak. ``make torture`` starts it."""
