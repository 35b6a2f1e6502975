"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from .names import to_read

Artifact = Annotated[Path, typer.Argument(help="An artifact written by `modelpick convert`.", parser=to_read)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one value per line.")]
Data = Annotated[Path, typer.Option(help="Benchmark records, JSON lines, gzipped or not.", parser=to_read)]
Embedder = Annotated[
    str | None, typer.Option(help="Embed queries without an embedding by this sentence-transformers model or folder.")
]
Embeddings = Annotated[
    Path | None,
    typer.Option(
        help="Take the queries' embeddings from this .npz: key, the first 16 hex digits of the SHA-1 of each query's "
        "UTF-8, and embedding, a row each.",
        parser=to_read,
    ),
]
EncoderFile = Annotated[
    Path | None,
    typer.Option("--encoder", help="Embed texts by this file, written by `modelpick encoder`.", parser=to_read),
]
Seed = Annotated[int, typer.Option(help="Seed of everything that is random.")]
