"""How a model that was made elsewhere comes into the repository: unpack, check, install.

Relies on nothing but what serving has. Trusts no file of the model: an archive may lie about its
paths and sizes, a manifest about its network. Making such a folder from a checkpoint is
`training/adopt`.
"""
