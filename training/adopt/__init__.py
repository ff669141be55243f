"""Makes a model folder of a checkpoint that a hospital downloaded itself.

    fenzhen models add PATH|URL --kind densenet|monai-bundle|text-encoder --about about.yaml

Nothing here trains, and nothing runs code that came with a checkpoint: pickles are read for their
tensors only, configurations for their literals only. What the files don't say of a model (whom it
learned from, under which licence, what its outputs are called) its owner says in `about.yaml`.
"""
