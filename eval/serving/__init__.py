"""How fast the model server is, beside its peers and under more load than it can bear.

    python -m eval.serving.load URL --callers 16         one server, closed or open loop
    python -m eval.serving.compare --quick               ours and the peers, by turns
    python -m eval.serving.overload                      three times what the server can do

See docs/serving-benchmark.md. Servers are met over HTTP only.
"""
