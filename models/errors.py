"""Errors of the models room. Serving maps each to one problem+json type."""


class ModelError(Exception):
    """Base of everything that can go wrong with a hosted model."""


class ModelRunError(ModelError):
    """The network failed on a batch. Says nothing of the input."""


class UnknownModel(ModelError):
    """No model of that name or version is in the repository."""


class ModelIntegrityError(ModelError):
    """A file's sha256 differs from its manifest: the model must not be served."""


class ModelLicenceError(ModelError):
    """The model's licence does not allow this use under the current settings."""


class ModelRefused(ModelError):
    """A model is not fit to be added to the repository, or to be hosted from it; says why."""


class ModelUnavailable(ModelError):
    """This machine, or this model, cannot run in the way that was asked for; says what can."""
