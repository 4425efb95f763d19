"""Speeds of boards, from the table that ncnn's users keep.

https://github.com/Tencent/ncnn/tree/master/benchmark lists the least of several runs of some 30
networks on one thread and on four, and what the networks are. `benchmarks/bench_latency.py` finds
these speeds from it and says how well: a network that is left out is predicted within 10 % as a
rule, within 25 % in four of five cases. Networks that large do not tell what starting costs: the
usual share is assumed, and twice that for an operator on four threads, which meet after each.

That is ncnn's own runtime. LiteRT takes 0.7 to 1.3 times as long (MobileNet 1, 2 and 3 on the
Raspberry Pi 3 and 4 in https://github.com/google/XNNPACK, "Performance"), ONNX Runtime executes
1.2 to 1.8 times the instructions of LiteRT, for the smallest networks more
(`benchmarks/bench_cost.py`). `OFF` holds four of five figures of that second table.
"""

from collections.abc import Mapping

from edge_targets.places.rates import FLOAT, INT8, Rates, Speed

ENGINES = {"onnx": 1.2, "tflite": 0.8}
OFF = 2.0
SOURCE = "ncnn's table of some 30 networks"

CORTEX_A53_1_0 = {  # Raspberry Pi Zero 2 W
    (FLOAT, 1): Speed(0.306, 0.562, 1.31, 5.30, 0.916, 11e3, 110e3),
    (FLOAT, 4): Speed(0.153, 0.224, 0.663, 3.14, 0.440, 22e3, 110e3),
    (INT8, 1): Speed(0.179, 0.191, 1.49, 14.2, 0.363, 11e3, 110e3),
    (INT8, 4): Speed(0.0781, 0.0610, 0.564, 5.35, 0.147, 22e3, 110e3),
}
CORTEX_A53_1_4 = {  # Raspberry Pi 3 B+
    (FLOAT, 1): Speed(0.167, 0.279, 0.750, 3.55, 0.500, 5.9e3, 59e3),
    (FLOAT, 4): Speed(0.0987, 0.154, 0.479, 2.41, 0.304, 11.8e3, 59e3),
    (INT8, 1): Speed(0.117, 0.122, 0.963, 9.03, 0.236, 7.1e3, 71e3),
    (INT8, 4): Speed(0.0658, 0.0448, 0.452, 4.07, 0.120, 14.2e3, 71e3),
}
CORTEX_A72_1_8 = {  # Raspberry Pi 4
    (FLOAT, 1): Speed(0.0847, 0.169, 0.419, 2.02, 0.271, 3.4e3, 34e3),
    (FLOAT, 4): Speed(0.0465, 0.0779, 0.243, 1.38, 0.148, 6.8e3, 34e3),
    (INT8, 1): Speed(0.0532, 0.0559, 0.450, 4.54, 0.112, 3.4e3, 34e3),
    (INT8, 4): Speed(0.0283, 0.0219, 0.211, 2.05, 0.0557, 6.8e3, 34e3),
}
CORTEX_A76_2_4 = {  # Raspberry Pi 5
    (FLOAT, 1): Speed(0.0133, 0.0295, 0.0654, 0.314, 0.0447, 550, 5.5e3),
    (FLOAT, 4): Speed(0.00902, 0.0144, 0.0383, 0.175, 0.0259, 1100, 5.5e3),
    (INT8, 1): Speed(0.0152, 0.0114, 0.102, 0.850, 0.0258, 770, 7.7e3),
    (INT8, 4): Speed(0.00604, 0.00576, 0.0486, 0.469, 0.0121, 1540, 7.7e3),
}


def published(speeds: Mapping[tuple[str, int], Speed]) -> Rates:
    return Rates(speeds, ENGINES, OFF, SOURCE)
