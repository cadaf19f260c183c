"""Every snippet and command in the documents is run, or says why not."""
