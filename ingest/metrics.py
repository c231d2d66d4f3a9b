"""GPU metrics: of samples that repeat one another the largest counts."""

from collections.abc import Iterator
from types import MappingProxyType

from ingest.days import DayLoader, Piece
from ingest.formats import dcgm
from ingest.loading import Context
from ingest.sources.files import InputFile


class GpuMetrics(DayLoader):
    """DCGM metrics to gpu_samples."""

    dataset = "gpu_samples"
    reads = "sample_text"
    rows = "samples"
    identity = ("uuid", "instance", "metric", '"time"', "namespace", "pod")
    loses = "smaller_samples"
    names = MappingProxyType(
        {
            "named_resources": "select distinct source, day, case when instance = '' then 'gpu' else 'mig' end as kind, "
            "uuid, hosts as names from {rows} where len(hosts) > 0"
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.remarks = dcgm.Remarks()

    def form(self, file: InputFile) -> str:
        return dcgm.form(file)

    def pieces(self, context: Context) -> Iterator[Piece]:
        for piece in dcgm.pieces(context.con, context.files, context.spool, self.remarks):
            yield Piece(piece.text, piece.packed)

    def notes(self) -> list[str]:
        return self.remarks.said()
