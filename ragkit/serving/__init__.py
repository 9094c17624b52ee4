"""The HTTP server with its own routes and OpenAI's, the chat page, and the MCP server."""
