"""Cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721)."""

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.onnx_graph import cleaned, graph_of
from toolkit.passes.base import Pass
from toolkit.quantization.equalize import equalized
from toolkit.quantization.fold import fold_batch_norms


class EqualizeLayers(Pass):
    """Make channels of neighbouring layers alike in size, for quantization: the same outputs."""

    def apply(self, model: Model, job: Job) -> Model:
        graph = graph_of(model, job)
        job.step("equalize layers", 0, 1)
        # a batch norm between two layers would hide that they are neighbours
        found, count = equalized(fold_batch_norms(graph)[0])
        changed = cleaned(found) if count else graph
        job.step("equalize layers", 1, 1)
        return model.with_graph(changed)
