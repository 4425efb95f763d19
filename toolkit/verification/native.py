"""Run a compiled file on this machine."""

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import EdgeError, IntegrityError, first_line
from edge_targets.runtime.events import Job
from toolkit.inference import Runner
from toolkit.verification.places.base import Values
from toolkit.verification.subject import File


def run(file: File, signature: Signature, inputs: Values, job: Job) -> Values:
    """Every output for all items.

    Raises:
        IntegrityError: the engine does not load the file, or fails with it.
    """
    try:
        return Runner(file.data, file.format, signature).outputs(inputs, job)
    except EdgeError:
        raise
    except Exception as error:  # the engines' errors share no other base
        raise IntegrityError(
            f"It cannot be run: {first_line(error)}.", "Build the model again."
        ) from error
