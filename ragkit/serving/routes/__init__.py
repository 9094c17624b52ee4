"""The server's routes: one module with one ``router`` for each group of them."""
