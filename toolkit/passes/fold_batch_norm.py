"""Batch norm into the layer before it (Jacob et al. 2018, arXiv:1712.05877, section 3.2)."""

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.onnx_graph import cleaned, graph_of
from toolkit.passes.base import Pass
from toolkit.quantization.fold import fold_batch_norms


class FoldBatchNorm(Pass):
    """Fold batch norms into the convolutions and dense layers before them: the same outputs."""

    def apply(self, model: Model, job: Job) -> Model:
        graph = graph_of(model, job)
        job.step("fold batch norms", 0, 1)
        folded, count = fold_batch_norms(graph)
        if count:
            folded = cleaned(folded)
        job.step("fold batch norms", 1, 1)
        return model.with_graph(folded)
