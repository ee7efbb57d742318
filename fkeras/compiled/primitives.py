"""What JAX's versions call differently in the parameters of primitives."""


def scan_counts(params):
    """Returns (constants, carried arrays) among the arguments of `lax.scan`, given its parameters as a dict."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()  # JAX 0.12: a tree of each kind of argument
    return len(constants), len(carry)
