"""The Open Inference Protocol v2 (KServe's, with Triton's extensions) without its routes.

Turns bytes into checked tensors, and outputs into bytes again. Relies on the hosted models'
manifests; never asks a model.
"""
