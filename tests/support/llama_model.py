"""Makes the file of a tiny Llama with random weights, and serves it by llama.cpp as OpenAI would be served.

Run by the Python of `.services/llamacpp`, where `gguf` and `xllamacpp` are: `llama_model.py FILE PORT`.
"""

from __future__ import annotations

import sys
import threading

import gguf
import numpy as np
import xllamacpp

WIDTH, HEADS, HIDDEN, LAYERS, CONTEXT, SEED = 64, 4, 128, 2, 4096, 7
# A template of a chat: each turn after the name of who speaks.
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"


def vocabulary() -> list[tuple[str, int]]:
    """Each token and its type: few special ones, each byte, each printable character of ASCII."""
    kinds = gguf.TokenType
    special = [(name, kinds.CONTROL) for name in ("<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")]
    each_byte = [(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)]
    characters = [(character, kinds.NORMAL) for character in ("\u2581", *map(chr, range(33, 127)))]
    return [("<unk>", kinds.UNKNOWN), *special, *each_byte, *characters]


def write(path: str) -> None:
    """The file, always the same."""
    tokens = vocabulary()
    file = gguf.GGUFWriter(path, "llama")
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(HIDDEN)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_vocab_size(len(tokens))
    file.add_file_type(0)
    file.add_tokenizer_model("llama")
    file.add_token_list([name for name, _ in tokens])
    file.add_token_types([kind for _, kind in tokens])
    file.add_token_scores([0.0] * len(tokens))
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    file.add_chat_template(TEMPLATE)
    _weights(file, tokens)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def _weights(file: gguf.GGUFWriter, tokens: list[tuple[str, int]]) -> None:
    dice = np.random.default_rng(SEED)
    ones = np.ones(WIDTH, np.float32)

    def random(name: str, *shape: int) -> None:
        file.add_tensor(f"{name}.weight", dice.standard_normal(shape, dtype=np.float32) / 2)

    random("token_embd", len(tokens), WIDTH)
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            file.add_tensor(f"blk.{layer}.{norm}.weight", ones)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random(f"blk.{layer}.{part}", WIDTH, WIDTH)
        for part in ("ffn_gate", "ffn_up"):
            random(f"blk.{layer}.{part}", HIDDEN, WIDTH)
        random(f"blk.{layer}.ffn_down", WIDTH, HIDDEN)
    file.add_tensor("output_norm.weight", ones)
    chances = dice.standard_normal((len(tokens), WIDTH), dtype=np.float32) / 2
    # What is likeliest is always a character that can be read.
    chances[[kind != gguf.TokenType.NORMAL for _, kind in tokens]] = 0
    file.add_tensor("output.weight", chances)


def serve(path: str, port: int) -> None:
    """Serve the file on loopback until the process is ended."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.port = port
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = 2
    parameters.cpuparams.n_threads = 1
    parameters.ctx_shift = True  # an answer may be longer than the context, without end
    parameters.warmup = False
    parameters.cache_prompt = False  # what is reused is computed in another order, and rounds otherwise
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    threading.Event().wait()


if __name__ == "__main__":
    write(sys.argv[1])
    serve(sys.argv[1], int(sys.argv[2]))
