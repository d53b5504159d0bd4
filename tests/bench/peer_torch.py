#!/usr/bin/env python3
"""The same work in PyTorch, for a comparison side by side: Hugging Face's Llama built from the catalog's own
dimensions with random weights, bf16, scaled_dot_product_attention.

Two forms: `eager` (kernels launched one by one, the cache growing as transformers does by default) and `compiled`
(torch.compile with CUDA graphs, "reduce-overhead", static cache: the recipe of transformers' documentation on
LLM inference optimization). Prefill is one pass that fills the cache and gives the last token's logits; decode is
free-running at the given context, one device event per token, one synchronization at the end.

usage: peer_torch.py --model presets/models/llama3-8b.json [--prefill 2048] [--decode 512] [--batch 1] [--steps 64]
                     [--forms eager,compiled] [--device cuda]

Prints one JSON line per measurement as soon as it stands. Where something is missing: one line that says what, exit 1.
"""
import argparse
import gc
import json
import statistics
import sys
import time


def fail(text):
    print("peer_torch: " + text, file=sys.stderr)
    sys.exit(1)


def imports():
    try:
        import torch
    except ImportError:
        fail("PyTorch is not installed: pip install torch transformers")
    try:
        import transformers
    except ImportError:
        fail("transformers is not installed: pip install transformers")
    return torch, transformers


class Clock:
    """Marks in the device's queue; spans in milliseconds after one synchronization."""

    def __init__(self, torch, device):
        self.torch, self.cuda, self.marks = torch, device.startswith("cuda"), []

    def mark(self):
        if self.cuda:
            event = self.torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(time.perf_counter())

    def spans(self):
        if self.cuda:
            self.torch.cuda.synchronize()
            return [a.elapsed_time(b) for a, b in zip(self.marks, self.marks[1:])]
        return [(b - a) * 1e3 for a, b in zip(self.marks, self.marks[1:])]


def new_model(torch, transformers, spec, device):
    config = transformers.LlamaConfig(
        hidden_size=spec["d_model"],
        intermediate_size=spec["ffn"],
        num_hidden_layers=spec["layers"],
        num_attention_heads=spec["heads"],
        num_key_value_heads=spec["kv_heads"],
        head_dim=spec.get("head_dim", spec["d_model"] // spec["heads"]),
        vocab_size=spec["vocab"],
        max_position_embeddings=spec["context"],
        rms_norm_eps=spec["norm_eps"],
        rope_theta=float(spec["rope_theta"]),
        tie_word_embeddings=bool(spec.get("tied", False)),
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    torch.set_default_dtype(torch.float32)
    return model.eval()


def static_cache(torch, transformers, model, batch, length, device):
    """The constructor's arguments changed between versions of transformers."""
    try:
        return transformers.StaticCache(
            config=model.config, max_batch_size=batch, max_cache_len=length, device=device, dtype=torch.bfloat16
        )
    except TypeError:
        return transformers.StaticCache(config=model.config, max_cache_len=length)


def next_token(torch, model, token, position, cache):
    logits = model(token, cache_position=position, past_key_values=cache, use_cache=True, return_dict=False)[0]
    return torch.argmax(logits[:, -1], dim=-1)[:, None]


def decode(torch, transformers, model, form, batch, context, steps, device):
    warm = 8
    length = context + warm + steps + 1
    compiled = form == "compiled"
    cache = static_cache(torch, transformers, model, batch, length, device) if compiled else transformers.DynamicCache()
    step = torch.compile(next_token, mode="reduce-overhead", fullgraph=True) if compiled else next_token
    ids = torch.randint(0, model.config.vocab_size, (batch, context), device=device)
    model(ids, cache_position=torch.arange(context, device=device), past_key_values=cache, use_cache=True,
          return_dict=False)
    token, position = ids[:, -1:].clone(), torch.tensor([context], device=device)
    clock = Clock(torch, device)
    for i in range(warm + steps):
        if i >= warm:
            clock.mark()
        token = step(torch, model, token.clone(), position, cache)
        position += 1
    clock.mark()
    return statistics.median(clock.spans()), batch


def prefill(torch, transformers, model, form, batch, length, steps, device):
    compiled = form == "compiled"
    cache = static_cache(torch, transformers, model, batch, length, device)
    ids = torch.randint(0, model.config.vocab_size, (batch, length), device=device)
    position = torch.arange(length, device=device)

    def run(ids, position):
        return model(ids, cache_position=position, past_key_values=cache, use_cache=True, return_dict=False,
                     logits_to_keep=1)[0]

    step = torch.compile(run, mode="reduce-overhead") if compiled else run
    spans = []
    for i in range(3 + 10):
        cache.reset()
        clock = Clock(torch, device)
        clock.mark()
        step(ids, position)
        clock.mark()
        took = clock.spans()
        if i >= 3:
            spans += took
    return statistics.median(spans), batch * length


def main():
    p = argparse.ArgumentParser(description="The same work in PyTorch; JSON lines.")
    p.add_argument("--model", required=True, help="a model file of the catalog (presets/models)")
    p.add_argument("--prefill", type=int, default=0, help="tokens of a prefill; 0: none")
    p.add_argument("--decode", type=int, default=0, help="context of a decode; 0: none")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--steps", type=int, default=64, help="decoded tokens that are timed")
    p.add_argument("--forms", default="eager,compiled")
    p.add_argument("--device", default="cuda")
    a = p.parse_args()
    with open(a.model, encoding="utf-8") as f:
        spec = json.load(f)
    if spec.get("family") != "llama":
        fail("%s is of family %s: this peer is Llama alone" % (a.model, spec.get("family")))
    torch, transformers = imports()
    if a.device.startswith("cuda") and not torch.cuda.is_available():
        fail("PyTorch %s sees no CUDA device: install a build for this driver, or choose --device cpu" % torch.__version__)
    facts = {
        "engine": "torch",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if a.device.startswith("cuda") else "cpu",
        "model": spec["name"],
        "precision": "bf16",
        "batch": a.batch,
    }
    torch.manual_seed(1)
    wanted = [(w, n) for w, n in (("decode", a.decode), ("prefill", a.prefill)) if n]
    with torch.inference_mode():
        model = new_model(torch, transformers, spec, a.device)
        for form in a.forms.split(","):
            for workload, n in wanted:
                line = dict(facts, form=form, workload=workload, seq=n)
                try:
                    run = decode if workload == "decode" else prefill
                    ms, tokens = run(torch, transformers, model, form, a.batch, n, a.steps, a.device)
                    line.update(ms=ms, tokens_per_second=tokens / ms * 1e3)
                except Exception as error:  # one form that this version cannot run leaves the others
                    line.update(error="%s: %s" % (type(error).__name__, str(error).split("\n")[0]))
                print(json.dumps(line), flush=True)
                if hasattr(torch, "_dynamo"):
                    torch._dynamo.reset()
                gc.collect()


if __name__ == "__main__":
    main()
