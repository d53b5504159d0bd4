#!/usr/bin/env bash
# usage: tests/gpu.sh [OUT.json]      under 8 minutes on one GPU, from a built tree or from the folder of `make dist`
#
# Everything that needs a GPU, in one command: every kernel and implementation against the reference, compute-sanitizer's
# four tools, the ceilings of this card, the gates of the CUDA engine, PyTorch beside it, and `optimized` against
# `baseline` for every model that fits. Printed as a table with PASS, FAIL (with the reason, where a run failed) or SKIP (where
# PyTorch or compute-sanitizer is not there), and written as JSON. Exit 1 where a gate or a step failed.
#
# On the tests' stand-in for a GPU (BENCHTOP=build/emu/benchtop) it runs whole with tiny shapes and says that nothing was
# measured. BENCHTOP names the binary, GPU_DEVICE the device (cuda:0), GPU_SECONDS the time (470).
set -u
here=$(cd "$(dirname "$0")" && pwd); root=$(dirname "$here")
out=${1:-gpu.json}; case $out in /*) ;; *) out=$PWD/$out ;; esac
device=${GPU_DEVICE:-cuda:0}; seconds=${GPU_SECONDS:-470}; began=$SECONDS
command -v python3 >/dev/null || { echo 'gpu.sh: python3 was not found: install it, the gates are judged by a script' >&2; exit 1; }
if [ -z "${BENCHTOP:-}" ]; then
    for b in "$root/benchtop" "$root/build/benchtop"; do [ -x "$b" ] && [ ! -d "$b" ] && { BENCHTOP=$b; break; }; done
fi
[ -x "${BENCHTOP:-}" ] || { echo 'gpu.sh: no benchtop beside this script: run make, or set BENCHTOP' >&2; exit 1; }
case $BENCHTOP in /*) ;; *) BENCHTOP=$PWD/$BENCHTOP ;; esac
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config
left() { echo $((seconds - (SECONDS - began))); }
say() { printf '%4d s  %s\n' $((SECONDS - began)) "$*" >&2; }

"$BENCHTOP" list devices --json >"$work/devices.json" 2>"$work/devices.err" || { cat "$work/devices.err" >&2; exit 1; }
facts=$(python3 "$here/gpu_gates.py" device "$work/devices.json" "$device") || exit 1
emulated=${facts%% *}
say "$device: ${facts#* }"

# On a real card the shapes of the gates, on the stand-in the smallest that pass through the same doors.
if [ "$emulated" = yes ]; then
    export XDG_CACHE_HOME=$work/cache
    mkdir -p "$work/config/benchtop/models"
    python3 "$here/gpu_gates.py" tiny "$work/config/benchtop/models"
    big=tiny-llama small=tiny-llama decode_seq=8 long_seq=16 prefill_seq=16 attention='2 1 64 40' rounds=2 all=tiny-llama,tiny-gpt2
    batch_all=1 seq_all=8 selftest_limit=120 selftest_model=llama # the others: tests/emu/engine_cuda_test.c
else
    big=llama3-8b small=llama3.2-1b decode_seq=512 long_seq=2048 prefill_seq=2048 attention='32 8 128 4096' rounds=5 all=
    batch_all=1 seq_all=512 selftest_limit=60 selftest_model=
fi

# step NAME LIMIT COMMAND...: its output stands in $work/NAME.out, what became of it in $work/steps.
step() {
    local name=$1 limit=$2 started=$SECONDS status; shift 2
    [ "$limit" -gt "$(left)" ] && limit=$(left)
    if [ "$limit" -lt 3 ]; then
        say "$name: no time left"; echo "$name none 0" >>"$work/steps"; return 1
    fi
    timeout -k 5 "$limit" "$@" >"$work/$name.out" 2>"$work/$name.err"; status=$?
    echo "$name $status $((SECONDS - started))" >>"$work/steps"
    case $status in 0) say "$name" ;; 124) say "$name: not done within $limit s" ;; *) say "$name: exit $status: $(tail -n 1 "$work/$name.err")" ;; esac
    return "$status"
}
# missing NAME WHY: the step cannot be made here
missing() { say "$1: $2"; echo "$2" >"$work/$1.err"; echo "$1 missing 0" >>"$work/steps"; }
# session NAME SECONDS OPTIONS...: one run, its session in $work/NAME.out
session() {
    local name=$1 limit=$2; shift 2
    step "$name" "$limit" "$BENCHTOP" run gpu-decode --device "$device" --quiet --json --batch 1 --runs "$rounds" \
        --max-rounds $((rounds + 3)) --budget $((limit > 20 ? limit - 15 : limit)) "$@"
}

step selftest "$selftest_limit" "$BENCHTOP" selftest $selftest_model --device "$device"
if [ "$emulated" = no ]; then
    step ceilings 30 "$BENCHTOP" doctor --measure --device "$device" --json
fi
session decode 75 --model "$big" --workload decode --seq "$decode_seq" --arm baseline-cuda --arm eager-cuda --arm optimized-cuda --arm int8-cuda --arm nf4-cuda
session decode_small 30 --model "$small" --workload decode --seq "$decode_seq" --arm baseline-cuda --arm eager-cuda --arm optimized-cuda
session prefill 40 --model "$big" --workload prefill --seq "$prefill_seq" --arm baseline-cuda --arm optimized-cuda
session caches 60 --model "$big" --workload decode --seq "$decode_seq,$long_seq" --arm optimized-cuda --arm paged-cuda --arm paged256-cuda --arm virtual-cuda
rate=$(dirname "$BENCHTOP")/attention_rate # beside the binary, or in a build tree
[ -x "$rate" ] || rate=$(dirname "$BENCHTOP")/tests/bench/attention_rate
# shellcheck disable=SC2086
[ -x "$rate" ] && step attention 20 "$rate" $attention

model_file=$root/presets/models/llama3-8b.json
torch_device=cuda; torch_shapes='--prefill 2048 --decode 512'
[ "$emulated" = yes ] && { model_file=$work/config/benchtop/models/tiny-llama.json torch_device=cpu torch_shapes='--prefill 8 --decode 8 --steps 2 --forms eager'; }
# shellcheck disable=SC2086
if ! python3 -c 'import torch, transformers' 2>/dev/null; then
    missing torch 'PyTorch or transformers is not installed: pip install torch transformers'
else
    step torch 130 python3 "$here/bench/peer_torch.py" --model "$model_file" --device "$torch_device" $torch_shapes
fi

# The sanitizers slow a kernel down a hundredfold; the selftest's models are small. They share the card. memcheck and initcheck
# see the library's products too, the two that judge barriers our own kernels alone; a small model each is what the time allows. What a call of the runtime returns is the
# program's matter: it checks every one. Modules are loaded when first used: each tool rewrites every kernel that is loaded.
sanitizer=$(command -v compute-sanitizer || ls "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer" 2>/dev/null)
if [ "$emulated" = no ]; then
    limit=$(left); [ "$limit" -gt 120 ] && limit=120
    for tool in memcheck racecheck initcheck synccheck; do
        [ -n "$sanitizer" ] || { missing "$tool" 'compute-sanitizer was not found: it comes with the CUDA toolkit'; continue; }
        case $tool in racecheck | synccheck) library=none model=llama ;; *) library=${BENCHTOP_CUBLASLT:-} model=gpt2 ;; esac
        CUDA_MODULE_LOADING=LAZY BENCHTOP_CUBLASLT=$library step "$tool" "$limit" "$sanitizer" --tool "$tool" --report-api-errors no --error-exitcode 9 \
            "$BENCHTOP" selftest $model --quiet --device "$device" &
    done
    wait
fi

[ -n "$all" ] || all=$(python3 "$here/gpu_gates.py" models "$root/presets/models" "$work/devices.json" "$device")
for model in ${all//,/ }; do
    [ "$(left)" -gt 12 ] || { say "every model: no time left for $model and what follows"; break; }
    case $model in bert*) workload=prefill ;; *) workload=prefill,decode ;; esac
    session "model_$model" 45 --model "$model" --workload "$workload" --seq "$seq_all" --batch "$batch_all" --arm baseline-cuda --arm optimized-cuda
done

python3 "$here/gpu_gates.py" judge "$work" "$out" "$emulated" "$big" "$small" "$decode_seq" "$prefill_seq"
status=$?
say "written to $out"
exit "$status"
