"""TextSelector: an encoder in front of a selector, from a prompt to the name of a model.

Where the selector's vectors end in the one-hot of a category, the category is the caller's, or is predicted by a
classifier within the artifact.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from ..artifact.metadata import EncoderIdentity, Metadata
from ..deciding import Decision
from ..errors import ArtifactError, FeatureError
from ..features import CATEGORIES
from ..keywords import refuse_unknown, spelled_out
from ..loading import Loading
from ..notebook import Explained
from ..request import Given, lasting
from ..selector import Drift, Selector
from .categories import CategoryPredictor
from .encoder import Encoder
from .messages import WHICH, Messages, Which, prompt_of, text_of


class Prompt(TypedDict, total=False):
    """What determines the query of a prompt, in addition to its text."""

    messages: Messages | None
    """A conversation, in the format of OpenAI's clients, instead of a text; see `modelpick.runtime.text.messages`."""
    category: str | None
    """Category of the prompt, where the selector's vectors have its one-hot; predicted if not given, where the artifact
    holds a classifier."""


class PromptRequest(Prompt, Given, total=False):
    """Keywords of `TextSelector.select` and similar methods, in addition to the text."""


_KNOWN = (*PromptRequest.__annotations__, "text")


class TextSelector:
    """Picks the language model for a prompt: embeds it, and asks a `Selector`.

    Immutable: any number of threads may call it at once. Make one with `TextSelector.load`.
    """

    def __init__(
        self,
        selector: Selector,
        encoder: Encoder,
        message: Which = "last_user",
        *,
        owns_encoder: bool = False,
    ) -> None:
        if not (isinstance(selector, Selector) and isinstance(encoder, Encoder)):
            raise TypeError("expected a Selector and an Encoder: TextSelector.load takes files")
        if message not in WHICH:
            raise FeatureError(f"message: expected one of {', '.join(WHICH)}, got {message!r}")
        self.selector, self.encoder, self._message, self._owns_encoder = selector, encoder, message, owns_encoder
        self._predictor = _predictor(selector, encoder.embedding_dim)

    @classmethod
    @spelled_out
    def load(
        cls,
        artifact: str | Path | bytes,
        encoder: str | Path | bytes | Encoder,
        *,
        message: Which = "last_user",
        **load: Unpack[Loading],
    ) -> Self:
        """Load an artifact, and the encoder whose embeddings it was trained with.

        Parameters
        ----------
        artifact
            Path of an artifact, or its bytes.
        encoder
            Path of an encoder, or its bytes, loaded with the same ``providers`` and ``sess_options``; or an `Encoder`,
            which many selectors may share.
        message
            Which of ``messages`` count, see `modelpick.runtime.text.messages.prompt_of`.
        **load
            Keywords of `Selector.load`.

        Raises
        ------
        ArtifactError
            When one of the two files is refused, or the selector was trained with another encoder; names both.
        FeatureError
            See `Selector.load`.
        """
        selector = Selector.load(artifact, **load)
        owns = not isinstance(encoder, Encoder)
        if not isinstance(encoder, Encoder):
            encoder = Encoder.load(encoder, providers=load.get("providers"), sess_options=load.get("sess_options"))
        name = "<bytes>" if isinstance(artifact, bytes) else str(artifact)
        check_encoder(name, selector.metadata, encoder.identity, encoder.embedding_dim)
        return cls(selector, encoder, message, owns_encoder=owns)

    @spelled_out
    def select(self, text: str | None = None, **request: Unpack[PromptRequest]) -> str:
        """Pick the model for one prompt.

        Parameters
        ----------
        text
            The prompt; or instead of it ``messages``.
        **request
            ``messages`` and ``category``; ``candidates``, ``quality_weight``, ``objective``, ``keep``, ``at_least``,
            ``far``, ``costs``, ``seconds`` and ``evidence``: see `modelpick.runtime.request.Given`.

        Raises
        ------
        FeatureError
            When there is no text, when a category is missing, or when `Selector.select` refuses the request.
        ArtifactError
            When the selector is closed.
        """
        given, prompt = _given(request), self._text(text, request)
        if self.selector.only_candidate(given) is not None:
            return self.selector.select(self._nothing(1)[0], **given)
        return self.selector.select(self._query(prompt, request.get("category")), **given)

    @spelled_out
    async def aselect(self, text: str | None = None, **request: Unpack[PromptRequest]) -> str:
        """Pick the model for one prompt in a thread, without blocking the event loop; see `select`."""
        import asyncio  # takes as long as all other imports here

        return await asyncio.to_thread(self.select, text, **request)

    @spelled_out
    def select_batch(
        self,
        prompts: Sequence[str | Messages],
        categories: Sequence[str | None] | None = None,
        **given: Unpack[Given],
    ) -> list[str]:
        """Pick the model for each prompt, a text or a conversation; raises the errors of `select`."""
        texts, known = self._texts(prompts, categories, given)
        given = lasting(given)
        if self.selector.only_candidate(given) is not None:
            return self.selector.select_batch(self._nothing(len(texts)), **given)
        return self.selector.select_batch(self._embedded(texts, known), **given)

    def _texts(
        self,
        prompts: Sequence[str | Messages],
        categories: Sequence[str | None] | None,
        given: Given,
        *keywords: str,
    ) -> tuple[list[str], Sequence[str | None]]:
        """Return the texts and categories of prompts, checked with the keywords of the call."""
        if isinstance(prompts, str):
            raise FeatureError("expected a sequence of prompts, got one text")
        if categories is not None and len(categories) != len(prompts):
            raise FeatureError(f"categories: expected {len(prompts)}, one per prompt, got {len(categories)}")
        refuse_unknown(given, (*Given.__annotations__, "prompts", "categories", *keywords))
        texts = [text_of(prompt, self._message) for prompt in prompts]
        return texts, [None] * len(texts) if categories is None else list(categories)

    @spelled_out
    def decide(
        self,
        text: str | None = None,
        *,
        key: str | None = None,
        explore: float = 0.0,
        margin: float | None = None,
        **request: Unpack[PromptRequest],
    ) -> Decision:
        """Pick the model for one prompt, or explore: see `Selector.decide`, and `select` for arguments and errors."""
        given = _given(request)
        query = self._query(self._text(text, request), request.get("category"))
        return self.selector.decide(query, key=key, explore=explore, margin=margin, **given)

    @spelled_out
    async def adecide(
        self,
        text: str | None = None,
        *,
        key: str | None = None,
        explore: float = 0.0,
        margin: float | None = None,
        **request: Unpack[PromptRequest],
    ) -> Decision:
        """Decide in a thread, without blocking the event loop; see `decide`."""
        import asyncio  # takes as long as all other imports here

        return await asyncio.to_thread(self.decide, text, key=key, explore=explore, margin=margin, **request)

    @spelled_out
    def decide_batch(
        self,
        prompts: Sequence[str | Messages],
        categories: Sequence[str | None] | None = None,
        *,
        keys: Sequence[str | None] | None = None,
        explore: float = 0.0,
        margin: float | None = None,
        **given: Unpack[Given],
    ) -> list[Decision]:
        """Decide on each prompt, see `Selector.decide_batch` and `select_batch`."""
        texts, known = self._texts(prompts, categories, given, "keys", "explore", "margin")
        vectors = self._embedded(texts, known)
        return self.selector.decide_batch(vectors, keys=keys, explore=explore, margin=margin, **given)

    @spelled_out
    def scores(self, text: str | None = None, **request: Unpack[PromptRequest]) -> dict[str, float]:
        """Score each candidate for one prompt, see `Selector.scores`; see `select` for arguments and errors."""
        given = _given(request)
        return self.selector.scores(self._query(self._text(text, request), request.get("category")), **given)

    @spelled_out
    def explain(self, text: str | None = None, **request: Unpack[PromptRequest]) -> dict[str, Any]:
        """Explain which model is picked for one prompt and why; see `select` for arguments and errors.

        Returns
        -------
        dict
            What `Selector.explain` returns; ``tokens``, the number of tokens that were read; and ``cut``, whether the
            prompt has more tokens. Where the selector's vectors have the one-hot of a category, also ``category``, and
            ``category_predicted``, whether it was predicted.
        """
        given = _given(request)
        embedding, tokens = self.encoder.read(self._text(text, request))
        (category,) = self._categories(embedding[np.newaxis], [request.get("category")])
        explained = self.selector.explain(self._built(embedding, category), **given)
        counted = {"tokens": tokens.count, "cut": tokens.cut}
        if not self.takes_category:
            return Explained({**explained, **counted})
        predicted = request.get("category") is None
        return Explained({**explained, **counted, "category": category, "category_predicted": predicted})

    @spelled_out
    def drift(self, text: str | None = None, **prompt: Unpack[Prompt]) -> Drift:
        """Measure how far a prompt is from the training questions, see `Selector.drift`."""
        refuse_unknown(prompt, (*Prompt.__annotations__, "text"))
        return self.selector.drift(self._query(self._text(text, prompt), prompt.get("category")))

    @property
    def model_names(self) -> tuple[str, ...]:
        """Language models that can be picked."""
        return self.selector.model_names

    @property
    def metadata(self) -> Metadata:
        """What the artifact says of itself."""
        return self.selector.metadata

    @property
    def takes_category(self) -> bool:
        """Whether the selector's vectors have the one-hot of a category. Otherwise a prompt's category is ignored."""
        return self.selector.n_features_in_ > self.encoder.embedding_dim

    @property
    def needs_category(self) -> bool:
        """Whether a prompt needs a category: the selector's vectors have its one-hot, and nothing predicts it."""
        return self.takes_category and self._predictor is None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.selector.closed

    def check_exploring(self, key: str | None, explore: float, margin: float | None) -> None:
        """Check the keywords of `decide` that are not those of `select`, with its errors."""
        self.selector.check_exploring(key, explore, margin)

    def close(self) -> None:
        """Release all sessions, except the session of an encoder that the caller loaded. Calls in flight finish."""
        self.selector.close()
        if self._predictor is not None:
            self._predictor.close()
        if self._owns_encoder:
            self.encoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.selector!r} and {self.encoder.identity}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the selector and the encoder. The classifier of categories is part of the artifact."""
        return _copied, (type(self), self.selector, self.encoder, self._message, self._owns_encoder)

    def _text(self, text: str | None, prompt: Prompt) -> str:
        messages = prompt.get("messages")
        if (text is None) == (messages is None):
            raise FeatureError("expected a text, or messages")
        if messages is not None:
            return prompt_of(messages, self._message)
        if not isinstance(text, str):
            raise FeatureError(f"expected a text, got {type(text).__name__}")
        return text

    def _embedded(self, texts: Sequence[str], categories: Sequence[str | None]) -> npt.NDArray[Any]:
        """Return the feature vectors of texts, (n, d)."""
        embeddings = self.encoder.embed(texts)
        known = self._categories(embeddings, categories)
        if not self.takes_category:
            return embeddings
        rows = [self._built(embedding, category) for embedding, category in zip(embeddings, known, strict=True)]
        return np.array(rows).reshape(len(rows), self.selector.n_features_in_)

    def _nothing(self, rows: int) -> npt.NDArray[np.float64]:
        """Return queries for a pool of one candidate, which is picked without looking at them."""
        return np.zeros((rows, self.selector.n_features_in_))

    def _query(self, text: str, category: str | None) -> npt.NDArray[Any]:
        """Return the feature vector of one text, (d,); without a one-hot it is the embedding itself."""
        embedding = self.encoder.embed_one(text)
        if not self.takes_category:
            return embedding
        (known,) = self._categories(embedding[np.newaxis], [category])
        return self._built(embedding, known)

    def _categories(self, embeddings: npt.NDArray[np.float32], given: Sequence[str | None]) -> Sequence[str | None]:
        """Predict the categories that are not given."""
        if self.closed:
            raise ArtifactError("the selector is closed")
        if not self.takes_category or None not in given:
            return given
        if self._predictor is None:
            raise FeatureError("category: expected one: the selector's vectors have its one-hot behind the embedding")
        predicted = self._predictor.predict(embeddings)
        return [category if category is not None else other for category, other in zip(given, predicted, strict=True)]

    def _built(self, embedding: npt.NDArray[np.float32], category: str | None) -> npt.NDArray[Any]:
        return self.selector.features.build(embedding, category) if self.takes_category else embedding


def _copied(kind: type[TextSelector], selector: Selector, encoder: Encoder, message: Which, owns: bool) -> TextSelector:
    return kind(selector, encoder, message, owns_encoder=owns)


def _predictor(selector: Selector, embedding_dim: int) -> CategoryPredictor | None:
    """Load the classifier of categories, if the artifact holds one, with the options of the selector."""
    classifier, source = selector.metadata.category_classifier, selector._source
    if classifier is None:
        return None
    return CategoryPredictor(source.name, classifier, embedding_dim, source.providers, source.sess_options)


def check_encoder(name: str, metadata: Metadata, encoder: EncoderIdentity, embedding_dim: int) -> None:
    """Refuse an artifact that was trained with another encoder, or with embeddings of another width.

    Raises
    ------
    ArtifactError
        Names both.
    """
    if metadata.encoder is not None and metadata.encoder.digest != encoder.digest:
        raise ArtifactError(f"{name}: expected the encoder {metadata.encoder}, got {encoder}")
    widths = (embedding_dim, embedding_dim + len(CATEGORIES))
    if metadata.n_features_in not in widths or metadata.embedding_dim not in (None, embedding_dim):
        wanted = metadata.embedding_dim or metadata.n_features_in
        raise ArtifactError(
            f"{name}: expected an encoder of {wanted} columns, with or without categories, got {encoder} "
            f"of {embedding_dim}"
        )


def _given(request: PromptRequest) -> Given:
    """Return the keywords in addition to the prompt; refuse unknown keywords before anything is embedded."""
    refuse_unknown(request, _KNOWN)
    given: Given = {key: value for key, value in request.items() if key not in Prompt.__annotations__}  # type: ignore[assignment]
    return lasting(given)
