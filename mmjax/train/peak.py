"""How fast a chip multiplies matrices at best: what utilisation is a share of."""

# bfloat16 operations a second of one jax device, dense, as its maker publishes them; found by a part of its name.
PEAKS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 1153.5e12,  # a chip is two devices
    "GB200": 2500e12,
    "B200": 2250e12,
    "GH200": 989e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "V100": 125e12,
    "T4": 65e12,
}


def peak(kind: str) -> float | None:
    """Of a device of this ``device_kind``; None where nobody publishes it, as of a CPU."""
    return next((PEAKS[name] for name in sorted(PEAKS, key=len, reverse=True) if name.lower() in kind.lower()), None)
