"""llama-cpp-python: GGUF chat models, and LLaVA models that look at pictures. One conversation at a time.

The library's own chat handlers take control tokens and media markers out of a speaker's text, encode pictures to PNG
and back, and look at a picture again with every message. So the handlers give their words here, and this engine feeds
the model. What two conversations in a row have in common, pictures included, is read once.
"""

from __future__ import annotations

import codecs
import ctypes
import random
from collections.abc import AsyncGenerator, Generator, Hashable, Iterable, Sequence
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

from deployments.engines.projector import Picture, Projector
from deployments.engines.prompt import Prompt, Spelled
from deployments.errors import ContextOverflow, InvalidRequest, UnsupportedMedia
from deployments.messages import ChatEnd, ChatMessage, FinishReason, Image, Load, TextDelta
from deployments.settings import ChatConfig, LlamaArgs, resolve
from deployments.stop import StopScanner
from deployments.threads import Worker, prepare

# Text that is ready within this time travels together.
LINGER_S = 0.02

Span = list[int] | Picture


class LlamaChat:
    """One model, one context, one conversation at a time; the others wait in order."""

    def __init__(self, args: LlamaArgs) -> None:
        prepare(args)
        from llama_cpp import Llama, llama_cpp

        self._lib = llama_cpp
        self._args = args
        self._llama = Llama(
            str(_file(args.model, args.repo_id)),
            n_ctx=args.context_length,
            n_batch=args.batch_size,
            n_ubatch=args.batch_size,
            n_threads=args.threads,
            n_threads_batch=args.threads,
            n_gpu_layers=args.gpu_layers,
            flash_attn=args.flash_attention,
            verbose=False,
        )
        self._vocab = _Vocabulary(self._llama)
        self._prompt = self._chosen_prompt()
        self._projector = (
            Projector(_file(args.mmproj, args.repo_id), self._llama, use_gpu=args.gpu_layers != 0)
            if args.mmproj
            else None
        )
        self._read: list[Hashable] = []  # what stands in the model's context: token ids, and pictures' keys
        self._worker = Worker("llama", args.stall_timeout_s)
        self.produced = 0
        self._probe()

    @property
    def vision(self) -> bool:
        return self._projector is not None

    async def chat(
        self, messages: Sequence[ChatMessage], config: ChatConfig
    ) -> AsyncGenerator[TextDelta | ChatEnd, None]:
        stream: AsyncGenerator[list[TextDelta | ChatEnd], None]
        stream = self._worker.stream(lambda: self._answer(messages, config), LINGER_S)
        async with aclosing(stream) as batches:
            async for batch in batches:
                for value in _joined(batch):
                    yield value

    def load(self) -> Load:
        return self._worker.load()

    async def check(self) -> None:
        await self._worker.check(self._probe)

    async def close(self) -> None:
        self._worker.close(self._release)

    def _answer(
        self, messages: Sequence[ChatMessage], config: ChatConfig
    ) -> Generator[TextDelta | ChatEnd | None, None, None]:
        """Runs in the worker's thread."""
        with ExitStack() as stack:
            spans = self._spans(messages, stack)
            length = _length(spans)
            self._require_room(length, config.max_tokens)
            *before, last = self._unread(spans)
            yield from self._feed(before)
            yield from self._generate(last, length, config)

    def _spans(self, messages: Sequence[ChatMessage], stack: ExitStack) -> list[Span]:
        """The conversation as runs of tokens and pictures; it ends with tokens."""
        spans: list[Span] = []
        text: list[int] | None = None  # the run of tokens at the end of spans
        for part in self._prompt.parts(messages):
            if isinstance(part, Image):
                spans.append(self._picture(part, stack))
                text = None
                continue
            continued = text is not None
            if text is None:
                spans.append(text := [])
            text += self._vocab.spell(part.text) if isinstance(part, Spelled) else self._vocab.read(part, continued)
        return self._vocab.with_bos(spans)

    def _picture(self, image: Image, stack: ExitStack) -> Picture:
        if self._projector is None:
            raise UnsupportedMedia("this model reads no pictures", param="image")
        picture = self._projector.read(image)
        stack.callback(picture.close)
        return picture

    def _require_room(self, length: int, max_tokens: int) -> None:
        fits = self._args.context_length - max_tokens
        if length <= fits:
            return
        room = f"at most {fits:,} fit" if fits > 0 else f"none fit into a context of {self._args.context_length:,}"
        raise ContextOverflow(
            f"the conversation has {length:,} tokens; {room} beside the {max_tokens:,} reserved for the answer",
            param="messages" if fits > 0 else "max_tokens",
        )

    def _unread(self, spans: list[Span]) -> list[Span]:
        """Rewind the context to what it shares with ``spans``; what is left to read, at least one token."""
        wanted = _flat(spans)
        shared = next(
            (i for i, (old, new) in enumerate(zip(self._read, wanted, strict=False)) if old != new),
            min(len(self._read), len(wanted)),
        )
        shared = min(shared, len(wanted) - 1)
        memory = self._lib.llama_get_memory(self._llama.ctx)
        if not self._lib.llama_memory_seq_rm(memory, 0, shared, -1):  # some models can only forget everything
            self._lib.llama_memory_clear(memory, True)
            shared = 0
        self._llama.n_tokens = shared
        self._read = wanted[:shared]
        return _dropped(spans, shared)

    def _feed(self, spans: list[Span]) -> Generator[None, None, None]:
        """Read all but the end of the conversation, in steps between which it can be stopped."""
        for span in spans:
            if isinstance(span, Picture):
                assert self._projector is not None
                self._projector.look(span)
                self._read += _flat([span])
                yield
                continue
            for at in range(0, len(span), self._args.batch_size):
                batch = span[at : at + self._args.batch_size]
                self._llama.eval(batch)
                self._read += batch
                yield

    def _generate(
        self, prompt: Span, length: int, config: ChatConfig
    ) -> Generator[TextDelta | ChatEnd | None, None, None]:
        assert isinstance(prompt, list)
        whole_batches = (len(prompt) - 1) // self._args.batch_size * self._args.batch_size
        yield from self._feed([prompt[:whole_batches]])
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        scanner = StopScanner(config.stop)
        begun = False
        count = 0
        finish: FinishReason = "length"
        for token in self._tokens(prompt[whole_batches:], config):
            self.produced += 1
            if self._vocab.ends(token):
                finish = "stop"
                break
            count += 1
            text = scanner.push(decoder.decode(self._vocab.text(token)))
            text = text if begun else text.lstrip()
            begun = begun or bool(text)
            yield TextDelta(text) if text else None
            if scanner.stopped:
                finish = "stop"
            if scanner.stopped or count == config.max_tokens:
                break
        if not scanner.stopped and (text := scanner.flush() + decoder.decode(b"", final=True)):
            yield TextDelta(text)
        yield ChatEnd(finish, length, count)

    def _tokens(self, prompt: list[int], config: ChatConfig) -> Generator[int, None, None]:
        """The model's choices after ``prompt``, without end; keeps the account of what the context holds."""
        self._llama.set_seed(random.getrandbits(32) if config.seed is None else config.seed)
        source = self._llama.generate(
            prompt,
            reset=False,
            temp=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            min_p=config.min_p,
            repeat_penalty=config.repeat_penalty,
            presence_penalty=config.presence_penalty,
            frequency_penalty=config.frequency_penalty,
            grammar=self._grammar(config.grammar),
        )
        unread = prompt
        for token in source:
            self._read += unread
            unread = [token]
            yield token

    def _grammar(self, text: str | None) -> Any:
        """What the library wants of a grammar; one that it could not read would end the process later."""
        if text is None:
            return None
        from llama_cpp import LlamaGrammar

        sampler = self._lib.llama_sampler_init_grammar(self._vocab.handle, text.encode(), b"root")
        if not sampler:
            raise InvalidRequest("the grammar cannot be read; it must be GBNF with a rule named root", param="grammar")
        self._lib.llama_sampler_free(sampler)
        return LlamaGrammar.from_string(text, verbose=False)

    def _probe(self) -> None:
        """One token out of the model, after whatever stands in its context, and the context as it was."""
        if self._llama.n_tokens == self._args.context_length:
            self._llama.reset()
            self._read = []
        before = self._llama.n_tokens
        next(self._llama.generate([self._vocab.any], reset=False, temp=0.0))
        self._llama.n_tokens = before

    def _chosen_prompt(self) -> Prompt:
        """The words around a conversation: given in the settings, a chat handler's, or those of the model's file."""
        from llama_cpp import llama_chat_format

        handler = {
            "llava-1-5": llama_chat_format.Llava15ChatHandler,
            "llava-1-6": llama_chat_format.Llava16ChatHandler,
            "nanollava": llama_chat_format.NanoLlavaChatHandler,
        }.get(self._args.chat_handler)
        own = handler.CHAT_FORMAT if handler else self._llama.metadata.get("tokenizer.chat_template")
        template = self._args.chat_template or own
        if template is None:
            raise ValueError(f"{self._args.model} has no chat template; give one as chat_template")
        return Prompt(
            template,
            bos=self._vocab.bos_text,
            eos=self._vocab.eos_text,
            special=self._vocab.markers(template),
            in_parts=template is own and handler is not None,
            default_system=handler.DEFAULT_SYSTEM_MESSAGE if handler else None,
        )

    def _release(self) -> None:
        if self._projector:
            self._projector.close()
        self._llama.close()


class _Vocabulary:
    """Text to tokens and back, with control tokens only where a template put them."""

    def __init__(self, llama: Any) -> None:
        from llama_cpp import llama_cpp as lib

        self._lib = lib
        self._llama = llama
        self.handle = lib.llama_model_get_vocab(llama.model)
        self._buffer = ctypes.create_string_buffer(1024)
        self._control = self._named(lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN)
        self._user_defined = self._named(lib.LLAMA_TOKEN_ATTR_USER_DEFINED)
        bos, eos = lib.llama_vocab_bos(self.handle), lib.llama_vocab_eos(self.handle)
        self.bos_text = self._name(bos) if bos >= 0 else ""
        self.eos_text = self._name(eos) if eos >= 0 else ""
        self.any = max(bos, 0)
        self._leading = [bos] if lib.llama_vocab_get_add_bos(self.handle) else []
        # These tokenisers put a space before all that they are given; behind a line break it can be taken off again.
        self._adds_space = lib.llama_vocab_type(self.handle) == lib.LLAMA_VOCAB_TYPE_SPM
        self._break = llama.tokenize(b"\n", add_bos=False, special=False)

    def markers(self, template: str) -> list[str]:
        """The texts that only ``template`` may use; some vocabularies hold ordinary words as tokens of their own."""
        return self._control + [name for name in self._user_defined if name in template]

    def read(self, text: str, continued: bool) -> list[int]:
        """The tokens of a template's text, markers among them; ``continued`` if other text stands right before."""
        return self._tokens(text, True, continued)

    def spell(self, text: str) -> list[int]:
        """The tokens of ``text`` letter by letter, so that no two letters make a marker."""
        return [token for letter in text for token in self._tokens(letter, False, True)]

    def with_bos(self, spans: list[Span]) -> list[Span]:
        """``spans`` led by the token that begins a text, if this vocabulary wants it and it is not there yet."""
        if spans and isinstance(spans[0], list):
            first, rest = spans[0], spans[1:]
        else:
            first, rest = [], spans
        return [first if first[:1] == self._leading else self._leading + first, *rest] if self._leading else spans

    def ends(self, token: int) -> bool:
        """Whether ``token`` ends an answer."""
        return bool(self._lib.llama_vocab_is_eog(self.handle, token))

    def text(self, token: int) -> bytes:
        """What ``token`` reads as: part of a UTF-8 text; nothing for a control token."""
        size = self._lib.llama_token_to_piece(self.handle, token, self._buffer, len(self._buffer), 0, False)
        return self._buffer.raw[: max(size, 0)]

    def _tokens(self, text: str, special: bool, continued: bool) -> list[int]:
        if not (continued and self._adds_space):
            return list(self._llama.tokenize(text.encode(), add_bos=False, special=special))
        tokens = self._llama.tokenize(b"\n" + text.encode(), add_bos=False, special=special)
        return list(tokens[len(self._break) :])

    def _named(self, attributes: int) -> list[str]:
        """The tokens with one of ``attributes``."""
        tokens = range(self._lib.llama_vocab_n_tokens(self.handle))
        return [
            self._name(token) for token in tokens if self._lib.llama_vocab_get_attr(self.handle, token) & attributes
        ]

    def _name(self, token: int) -> str:
        return str(self._lib.llama_vocab_get_text(self.handle, token).decode(errors="replace"))


def _file(name: str, repo_id: str | None) -> Path:
    """The local path of a model's file, fetched from the hub if ``repo_id`` says so."""
    if repo_id is None:
        path = resolve(name)
        if not path.is_file():
            raise FileNotFoundError(f"there is no model file {path}")
        return path
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repo_id, name))


def _flat(spans: Iterable[Span]) -> list[Hashable]:
    """One entry for each place in the context."""
    return [entry for span in spans for entry in ([span.key] * span.n_tokens if isinstance(span, Picture) else span)]


def _length(spans: Iterable[Span]) -> int:
    return sum(span.n_tokens if isinstance(span, Picture) else len(span) for span in spans)


def _dropped(spans: list[Span], count: int) -> list[Span]:
    """``spans`` without their first ``count`` places; a picture goes whole."""
    for at, span in enumerate(spans):
        size = _length([span])
        if count < size:
            return [span if isinstance(span, Picture) else span[count:], *spans[at + 1 :]]
        count -= size
    return []


def _joined(batch: list[TextDelta | ChatEnd]) -> list[TextDelta | ChatEnd]:
    """The values with deltas that stand side by side made one."""
    text = "".join(value.text for value in batch if isinstance(value, TextDelta))
    deltas: list[TextDelta | ChatEnd] = [TextDelta(text)] if text else []
    return deltas + [value for value in batch if isinstance(value, ChatEnd)]
