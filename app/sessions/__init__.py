"""What an agent remembers: messages as a chain, the rule that merges what clients resend, and the stores."""
