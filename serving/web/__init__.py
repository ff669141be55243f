"""The pages: patient chat and physicians' console, rendered on the server with jinja2 and htmx."""
