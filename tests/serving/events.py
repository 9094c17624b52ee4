"""Server-sent events, read as a client reads them."""

import json


def events(response):
    """Yield (name, data) of a streamed response."""
    name, data = "", []
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif not line and data:
            yield name, json.loads("\n".join(data))
            name, data = "", []


def ask(client, collection="samples", **body):
    """Ask a question and return all events."""
    with client.stream("POST", f"/api/collections/{collection}/answers", json=body) as response:
        assert response.status_code == 200, response.read()
        return list(events(response))
