#!/usr/bin/env bash
# Every figure that the README quotes, measured in one run on this machine. BENCHTOP and BUILD come from the Makefile.
set -u
section() { printf '\n== %s\n' "$1"; }
section 'engine against this machine (2 threads or more, batch 1)'
"$BUILD/tests/bench/engine_bench"
section 'a state-space model: its scan, and decode against this machine'
"$BUILD/tests/bench/mamba_bench"
section 'tokenizers on one core'
"$BUILD/tests/bench/tokenizer_bench"
section 'the program itself, no model loaded'
tests/bench/idle.sh
section 'a million samples'
"$BUILD/tests/bench/scale_bench"
section 'statistics'
"$BUILD/tests/bench/view_bench"
section 'a frame at 200x60'
"$BUILD/tests/bench/frame_bench"
section 'keys while every core is busy'
"$BUILD/tests/bench/latency_bench"
section 'the same preset with the interface and headless: the ratio of latencies'
tests/bench/overhead.sh
