"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from .names import to_read, to_write

Artifact = Annotated[Path, typer.Argument(help="An artifact written by `modelpick convert`.", parser=to_read)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one value per line.")]
Categories = Annotated[
    Path | None,
    typer.Option(help="JSON: an object of tasks, task_name in the records, and the category of each.", parser=to_read),
]
Data = Annotated[
    Path,
    typer.Option(
        help="Benchmark records: JSON lines or an array, CSV, gzipped or not, or Parquet; or a folder of such files.",
        parser=to_read,
    ),
]
Embedder = Annotated[
    str | None,
    typer.Option(
        help="Embed queries without an embedding by this sentence-transformers model or folder, scaled to unit length; "
        "qwen3, gte, mpnet, e5, bge and minilm stand for the models that the original calls so."
    ),
]
Embeddings = Annotated[
    Path | None,
    typer.Option(
        help="Take the queries' embeddings from this .npz: embedding, a row each, and key, the first 16 hex digits of "
        "the SHA-1 of each query's UTF-8, or embedding_id of the records; from a .pt by embedding_id; or from the "
        "cache of the original's training code, embeddings_MODEL.npz.",
        parser=to_read,
    ),
]
EncoderFile = Annotated[
    Path | None,
    typer.Option("--encoder", help="Embed texts by this file, written by `modelpick encoder`.", parser=to_read),
]
Prices = Annotated[
    Path | None,
    typer.Option(
        help="JSON: an object of models, and input_price and output_price of each for a million tokens: what answers "
        "cost by their input_tokens and output_tokens.",
        parser=to_read,
    ),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Write the verification as JSON here.", parser=to_write(".json"))
]
Seed = Annotated[int, typer.Option(help="Seed of everything that is random.")]
