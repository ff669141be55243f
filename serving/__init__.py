"""How it is offered: engine, API, consults, decisions, review queue, storage, web console."""

__version__ = "0.1.0"
