"""The annotation panel's side of the server: frames, colours, labels that sessions begin from and become."""
