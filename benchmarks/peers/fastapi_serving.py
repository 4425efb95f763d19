"""FastAPI with ONNX Runtime, as lean as it gets, for benchmarks/bench_serving.py.

    python fastapi_serving.py MODEL PORT

The same requests as to our agent (the Open Inference Protocol, JSON and binary), read and checked
no more than needed; uvicorn with uvloop and httptools, one process, one engine thread.
"""

import json
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import (  # type: ignore[import-not-found]
    FastAPI,
    Request,
    Response,
)

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
output = session.get_outputs()[0].name
app = FastAPI()


@app.get("/v2/health/ready")  # type: ignore[untyped-decorator]
async def ready() -> dict[str, bool]:
    return {"ready": True}


@app.post("/v2/models/{model}/infer")  # type: ignore[untyped-decorator]
async def infer(model: str, request: Request) -> Response:
    body = await request.body()
    size = request.headers.get("inference-header-content-length")
    if size is None:
        entry = json.loads(body)["inputs"][0]
        values = np.asarray(entry["data"], np.float32).reshape(entry["shape"])
    else:
        entry = json.loads(body[: int(size)])["inputs"][0]
        values = np.frombuffer(body, np.float32, offset=int(size)).reshape(entry["shape"])
    found = session.run([output], {name: values})[0]
    answer = {"name": output, "datatype": "FP32", "shape": list(found.shape)}
    content = {"model_name": model, "model_version": "1", "outputs": [answer]}
    if size is None:
        answer["data"] = found.ravel().tolist()
        return Response(json.dumps(content), media_type="application/json")
    answer["parameters"] = {"binary_data_size": found.nbytes}
    head = json.dumps(content).encode()
    return Response(
        head + found.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
        media_type="application/octet-stream",
    )


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="error")
