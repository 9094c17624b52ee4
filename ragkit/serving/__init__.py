"""HTTP to the rest: the server with its own routes and OpenAI's, the chat page, and the MCP server."""
