#!/usr/bin/env python3
"""The judge of tests/gpu.sh: reads what its steps left and says PASS, FAIL or SKIP per gate.

On a GPU a gate whose run failed, did not end in its time or does not say the number is a FAIL with the reason; SKIP is for
PyTorch or compute-sanitizer alone, where they are not there. On the stand-in every gate of speed is "not measured".

usage: gpu_gates.py device DEVICES.json ID          "yes NAME" or "no NAME": is the device emulated
       gpu_gates.py tiny FOLDER                     writes the models of the stand-in
       gpu_gates.py models FOLDER DEVICES.json ID   models of the catalog whose bf16 weights fit into the device
       gpu_gates.py judge FOLDER OUT EMULATED BIG SMALL DECODE_SEQ PREFILL_SEQ
"""
import glob
import json
import os
import sys

SANITIZERS = ("memcheck", "racecheck", "initcheck", "synccheck")


def fail(text):
    print("gpu.sh: " + text, file=sys.stderr)
    sys.exit(1)


def read_json(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


# ---- the device and its models ----


def find_device(path, wanted):
    listed = read_json(path)
    devices = listed.get("devices", []) if isinstance(listed, dict) else listed or []
    for d in devices:
        if wanted in (d.get("id"), d.get("device"), d.get("name")):
            return d
    fail("%s is not among the devices: %s" % (wanted, json.dumps(devices)[:300]))


def say_device(path, wanted):
    d = find_device(path, wanted)
    if d.get("available") is False:
        fail("%s cannot be used: %s" % (wanted, d.get("why") or d.get("reason") or "benchtop doctor says more"))
    text = json.dumps(d)
    print("%s %s" % ("yes" if d.get("emulated") or "mulated" in text else "no", d.get("what") or d.get("title") or text))


def write_tiny(folder):
    llama = dict(schema="benchtop/model/1", title="Two layers", family="llama", layers=2, d_model=128, heads=2, kv_heads=1,
                 head_dim=64, ffn=192, vocab=160, context=256, norm_eps=1e-5, rope_theta=10000, source="made for tests")
    gpt2 = dict(llama, family="gpt2", kv_heads=2, ffn=512, tied=True)
    del gpt2["rope_theta"]
    for name, model in (("tiny-llama", llama), ("tiny-gpt2", gpt2)):
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
            json.dump(dict(model, name=name), f)


def list_models(folder, path, wanted):
    memory = find_device(path, wanted).get("memory_bytes") or 0
    found = []
    for file in sorted(glob.glob(os.path.join(folder, "*.json"))):
        model = read_json(file) or {}
        parameters = model.get("published_parameters") or 0
        if model.get("family") in ("llama", "gpt2", "phi2", "bert") and 0 < 2 * parameters < 0.85 * memory:
            found.append((parameters, model["name"]))
    print(",".join(name for _, name in sorted(found)))


# ---- what the steps left ----


class Steps:
    def __init__(self, folder):
        self.folder, self.status, self.seconds = folder, {}, {}
        with open(os.path.join(folder, "steps"), encoding="utf-8") as f:
            for line in f:
                name, status, seconds = line.split()
                self.status[name], self.seconds[name] = status, int(seconds)

    def why_not(self, name):
        status = self.status.get(name)
        if status is None:
            return "the step did not run here"
        if status == "none":
            return "no time was left"
        if status == "missing":
            with open(os.path.join(self.folder, name + ".err"), encoding="utf-8") as f:
                return f.read().strip()
        if status == "124":
            return "not done in its time"
        if status == "0":
            return None
        last = ""
        for end in (".err", ".out"):
            try:
                with open(os.path.join(self.folder, name + end), encoding="utf-8", errors="replace") as f:
                    lines = [x.strip() for x in f if x.strip()]
                last = lines[-1] if lines else last
            except OSError:
                pass
            if last:
                break
        return "exit %s: %s" % (status, last[:160])

    def session(self, name):
        return read_json(os.path.join(self.folder, name + ".out"))

    def cell(self, name, model, workload, seq):
        for c in (self.session(name) or {}).get("cells", []):
            if (c["model"], c["workload"], c["seq"]) == (model, workload, seq):
                return c
        return None

    def arm(self, name, model, workload, seq, arm):
        cell = self.cell(name, model, workload, seq) or {}
        for a in cell.get("arms", []):
            if a["name"] == arm and a["status"] == "ok" and a.get("summary"):
                return a["summary"]
        return None


def rate(summary):
    return (summary or {}).get("tokens_per_second", {}).get("mean")


def ratio(a, b):
    return a / b if a and b else None


class Verdicts:
    def __init__(self, emulated):
        self.emulated, self.gates = emulated, []

    def add(self, name, value, threshold, unit, why, always=False, missing=False):
        if self.emulated and not always:
            result, value, why = "not_measured", None, why or "emulated: times mean nothing"
        elif missing:
            result, value = "skip", None
        elif value is None:
            result, why = "fail", why or "the run does not say it: an arm failed or was flagged"
        else:
            result, why = ("pass" if value >= threshold else "fail"), None
        self.gates.append(dict(name=name, value=value, threshold=threshold, unit=unit, result=result, why=why))


def torch_lines(steps):
    lines = []
    try:
        with open(os.path.join(steps.folder, "torch.out"), encoding="utf-8") as f:
            lines = [json.loads(x) for x in f if x.startswith("{")]
    except (OSError, ValueError):
        pass
    return lines


def judge_correctness(v, steps, emulated):
    ok = steps.status.get("selftest")
    v.add("selftest: every kernel and implementation against the reference", {"0": 1.0, "1": 0.0}.get(ok), 1, "",
          steps.why_not("selftest"), always=True)
    for tool in SANITIZERS:
        status = steps.status.get(tool)
        why = "emulated: no device code runs" if emulated else steps.why_not(tool)
        v.add("compute-sanitizer " + tool, {"0": 1.0, "9": 0.0}.get(status), 1, "", why, missing=status == "missing")


def judge_speed(v, steps, big, small, decode_seq, prefill_seq):
    def arm(step, model, name, seq=decode_seq, workload="decode"):
        return steps.arm(step, model, workload, seq, name)

    def share(summary, key):
        return (summary or {}).get(key)

    why = steps.why_not("decode")
    best = arm("decode", big, "optimized-cuda")
    v.add("%s decode at %d: share of the measured read bandwidth" % (big, decode_seq), share(best, "bandwidth_share"), 0.80, "",
          why)
    v.add("%s decode at %d: share of the measured read bandwidth" % (small, decode_seq),
          share(arm("decode_small", small, "optimized-cuda"), "bandwidth_share"), 0.65, "", steps.why_not("decode_small"))
    v.add("int8 against bf16, decode", ratio(rate(arm("decode", big, "int8-cuda")), rate(best)), 1.7, "x", why)
    v.add("nf4 against bf16, decode", ratio(rate(arm("decode", big, "nf4-cuda")), rate(best)), 2.3, "x", why)
    v.add("graph against eager, %s" % big, ratio(rate(best), rate(arm("decode", big, "eager-cuda"))), 1.2, "x", why)
    v.add("graph against eager, %s" % small,
          ratio(rate(arm("decode_small", small, "optimized-cuda")), rate(arm("decode_small", small, "eager-cuda"))), 1.2, "x",
          steps.why_not("decode_small"))
    prefill = arm("prefill", big, "optimized-cuda", prefill_seq, "prefill")
    v.add("%s prefill at %d: share of the data sheet's bf16 rate" % (big, prefill_seq), share(prefill, "flop_sheet_share"), 0.55,
          "", steps.why_not("prefill"))
    attention = read_json(os.path.join(steps.folder, "attention.out")) or {}
    v.add("flash attention, head %s, %s tokens, causal" % (attention.get("head_dim", 128), attention.get("sequence", 4096)),
          attention.get("tflops"), 350, "TFLOP/s", steps.why_not("attention"))
    for name in ("paged-cuda", "paged256-cuda", "virtual-cuda"):
        v.add("%s against contiguous, decode at %d" % (name, decode_seq),
              ratio(rate(arm("caches", big, name)), rate(arm("caches", big, "optimized-cuda"))), 0.95, "x",
              steps.why_not("caches"))
    lines = torch_lines(steps)
    for workload, ours, least in (("decode", best, 1.0), ("prefill", prefill, 0.98)):
        for form in ("eager", "compiled"):
            theirs = [x for x in lines if x["workload"] == workload and x["form"] == form]
            said = theirs[0].get("error") if theirs else None
            v.add("against PyTorch %s, %s" % (form, workload),
                  ratio(rate(ours), theirs[0].get("tokens_per_second") if theirs else None), least, "x",
                  said or (steps.why_not("torch") if not theirs else None) or (why if workload == "decode" else steps.why_not("prefill")),
                  missing=steps.status.get("torch") == "missing" or bool(said))


def read_ceilings(steps):
    device = (steps.session("ceilings") or {}).get("device", {})
    found = [("read bandwidth", device.get("read_bandwidth"), 1e-9, "GB/s"),
             ("copy bandwidth", device.get("copy_bandwidth"), 1e-9, "GB/s")]
    found += [(name + " products", value, 1e-12, "TFLOP/s") for name, value in sorted(device.get("product_rate", {}).items())]
    return [dict(name=name, value=value * scale, unit=unit) for name, value, scale, unit in found if value]


def compare_models(steps):
    table = []
    for name in steps.status:
        if not name.startswith("model_"):
            continue
        cells = (steps.session(name) or {}).get("cells", [])
        if not cells:
            table.append(dict(model=name[6:], workload=None, why=steps.why_not(name)))
        for c in cells:
            arms = {a["name"]: a.get("summary") for a in c.get("arms", [])}
            base, best = rate(arms.get("baseline-cuda")), rate(arms.get("optimized-cuda"))
            verdicts = [x.get("verdict") for x in c.get("comparisons", [])]
            table.append(dict(model=c["model"], workload=c["workload"], seq=c["seq"], baseline=base, optimized=best,
                              speedup=ratio(best, base), verdict=verdicts[0] if verdicts else None,
                              why=None if c["status"] == "ok" else c.get("reason") or c["status"]))
    return table


# ---- the report ----


def show(x, unit=""):
    return "–" if x is None else ("%.3g" % x if x < 1000 else "%.0f" % x) + (" " + unit if unit and unit != "x" else unit)


def print_gates(gates):
    words = dict(fail="FAIL", skip="SKIP", not_measured="not measured")
    width = max(len(g["name"]) for g in gates)
    print("%-*s  %-14s %-13s %s" % (width, "gate", "value", "at least", "result"))
    for g in gates:
        word = words.get(g["result"], "PASS")
        print("%-*s  %-14s %-13s %s%s" % (width, g["name"], show(g["value"], g["unit"]), show(g["threshold"], g["unit"]), word,
                                         ": " + g["why"] if g["why"] else ""))


def print_ceilings(ceilings, why):
    print("\nceilings of this device, as measured" + (": " + why if why and not ceilings else ""))
    for c in ceilings:
        print("%-16s %s" % (c["name"], show(c["value"], c["unit"])))


def print_models(table, emulated):
    if not table:
        return
    print("\noptimized against baseline, tokens per second%s" % (" (emulated: not shown)" if emulated else ""))
    for t in table:
        if emulated:
            t.update(baseline=None, optimized=None, speedup=None, verdict=None)
        print("%-16s %-8s %10s %10s %8s  %s" % (t["model"], t["workload"] or "–", show(t.get("baseline")),
                                                show(t.get("optimized")), show(t.get("speedup"), "x"),
                                                t.get("why") or t.get("verdict") or "ran"))


def judge(folder, out, emulated, big, small, decode_seq, prefill_seq):
    steps, emulated = Steps(folder), emulated == "yes"
    v = Verdicts(emulated)
    judge_correctness(v, steps, emulated)
    judge_speed(v, steps, big, small, int(decode_seq), int(prefill_seq))
    table = compare_models(steps)
    ceilings = read_ceilings(steps)
    print_gates(v.gates)
    print_ceilings(ceilings, "an emulated device has none" if emulated else steps.why_not("ceilings"))
    print_models(table, emulated)
    count = {r: sum(g["result"] == r for g in v.gates) for r in ("pass", "fail", "skip", "not_measured")}
    broken = [n for n, s in steps.status.items() if s not in ("0", "none", "missing") and n != "torch"]
    if emulated:
        print("\nNothing was measured: the device is the tests' stand-in for a GPU.")
    print("\n%d passed, %d failed, %d skipped, %d not measured%s" % (count["pass"], count["fail"], count["skip"], count["not_measured"],
                                                          "; steps that failed: " + ", ".join(broken) if broken else ""))
    session = next((s for s in map(steps.session, ("decode", "decode_small", "prefill")) if s), {})
    with open(out, "w", encoding="utf-8") as f:
        json.dump(dict(schema="benchtop/gpu-gates/1", emulated=emulated, benchtop=session.get("benchtop"),
                       environment=session.get("environment"), gates=v.gates, ceilings=ceilings, models=table,
                       steps=[dict(name=n, status=s, seconds=steps.seconds[n]) for n, s in steps.status.items()],
                       torch=torch_lines(steps), passed=count["pass"], failed=count["fail"], skipped=count["skip"],
                       not_measured=count["not_measured"]), f, indent=1)
        f.write("\n")
    sys.exit(1 if count["fail"] or broken else 0)


def main():
    verbs = {"device": (say_device, 2), "tiny": (write_tiny, 1), "models": (list_models, 3), "judge": (judge, 7)}
    if len(sys.argv) < 2 or sys.argv[1] not in verbs or len(sys.argv) - 2 != verbs[sys.argv[1]][1]:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    verbs[sys.argv[1]][0](*sys.argv[2:])


if __name__ == "__main__":
    main()
