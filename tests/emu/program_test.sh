#!/usr/bin/env bash
# The whole program on the emulated GPU: what it measures there is told as emulated on every screen and in every file,
# what a GPU refuses is told in one line, and the judge of a GPU runs to its end.
. tests/terminal.sh
gpu=$(dirname "$BENCHTOP")/emu/benchtop
export EMULATED_WATCH=0 EMULATED_MULTIPROCESSORS=5 # as in engine_cuda_test.c
[ -x "$gpu" ] || { echo 'skipped: the emulated binary was not built'; echo '0 passed, 0 failed, 1 skipped'; exit 0; }
mkdir -p "$XDG_CONFIG_HOME/benchtop/models"
python3 tests/gpu_gates.py tiny "$XDG_CONFIG_HOME/benchtop/models" || exit 1
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
says() { local file=$1; shift; grep -qE -- "$*" "$file" || { echo "$file does not say: $*"; cat "$file"; return 1; }; }
# run NAME ARGUMENTS...: a run of the tiny model; session in $work/NAME.json, table in .out, messages in .err
run() {
    local name=$1; shift
    "$gpu" run gpu-decode --device cuda --model tiny-llama --runs 2 --max-rounds 2 --quiet \
        --out "$work/$name.json" "$@" >"$work/$name.out" 2>"$work/$name.err"
}

"$gpu" list devices >"$work/devices" 2>&1
check 'the list of devices says emulated' says "$work/devices" 'cuda:0 .*emulated'
"$gpu" doctor >"$work/doctor" 2>&1
check 'doctor says that times mean nothing' says "$work/doctor" 'emulated.*times mean nothing'
check 'and calls the device emulated, neither fine nor amiss' says "$work/doctor" '^cuda:0 +emulated '
check 'doctor found the library of products by the usual way' says "$work/doctor" 'cuBLASLt 13'

check 'a decode runs' run decode --seq 8 --batch 1 --workload decode --arm eager-cuda --arm optimized-cuda
check 'its cell is whole' test "$(field "$work/decode.json" 'd["cells"][0]["status"]')" = ok
check 'its session says emulated' test "$(field "$work/decode.json" 'd["environment"]["emulated"]')" = True
check 'its table says emulated' says "$work/decode.out" emulated
check 'so does the session shown again' bash -c "'$gpu' show '$work/decode.json' | grep -q emulated"
check 'so does a page of it' bash -c "'$gpu' export '$work/decode.json' --to md --out '$work/page.md' && grep -qi emulated '$work/page.md'"
check 'the recorded step has nodes' test "$(field "$work/decode.json" '[a["graph"]["nodes"] > 3 for a in d["cells"][0]["arms"] if a["name"] == "optimized-cuda"][0]')" = True

EMULATED_MEMORY=80M run memory --workload decode --batch 1,256,512 --seq 200 --arm optimized-cuda
check 'cells that memory has no room for are rows, and the sweep goes on' test "$(field "$work/memory.json" '[c["status"] for c in d["cells"]]')" = "['ok', 'out_of_memory', 'out_of_memory']"
check 'and they say what they needed' says "$work/memory.out" 'batch 512: out_of_memory: needs'

EMULATED_FAIL=cudaMalloc:5 run caught --workload prefill,decode --batch 1,2 --seq 8 --arm optimized-cuda
check 'memory that ends unforeseen is a row, larger cells of the sweep are left out' test "$(field "$work/caught.json" '[c["status"] for c in d["cells"]]')" = "['out_of_memory', 'skipped', 'ok', 'ok']"
check 'and say why' test "$(field "$work/caught.json" '"ran out of memory" in d["cells"][1]["reason"]')" = True

EMULATED_DRIVER=0 "$gpu" run latency-vs-seqlen --device cuda --quiet >"$work/none.out" 2>"$work/none.err"; status=$?
check 'without a driver a run fails' test "$status" -ne 0
check 'and one line that says so' bash -c "[ \$(wc -l <'$work/none.err') -eq 1 ] && grep -qi driver '$work/none.err'"

mkdir "$work/alone" && cp "$gpu" "$work/alone/benchtop"
gpu=$work/alone/benchtop BENCHTOP_CATALOG=$PWD/presets run own --seq 8 --batch 1 --workload prefill --arm optimized-cuda
check 'without cuBLASLt our own tiles serve' test "$(field "$work/own.json" 'd["cells"][0]["status"]')" = ok
BENCHTOP_CATALOG=$PWD/presets "$work/alone/benchtop" doctor >"$work/doctor.alone" 2>&1
check 'and doctor says so' says "$work/doctor.alone" 'own GEMV and tensor-core GEMM'

if command -v tmux >/dev/null; then
    start 120 40 "$gpu gpu-decode --device cuda --model tiny-llama --seq 8 --batch 1 --runs 2 --max-rounds 2"
    check 'the setup screen says emulated' shows '[Ee]mulated' 15
    keys r
    check 'the live screen says emulated' shows '[Ee]mulated' 10
    check 'the run comes to its end' shows 'round 2 of 2 .* complete' 60
    check 'what it ends with says emulated' shows '[Ee]mulated' 10
    keys q; sleep 0.5; keys q
    check 'it ends well' shows 'exit=0' 10
    check 'the table it leaves says emulated' shows '[Ee]mulated' 10
else
    skipped=$((skipped + 1))
fi

if [ -z "${SANITIZER:-}" ]; then
    BENCHTOP=$gpu GPU_SECONDS=600 tests/gpu.sh "$work/gpu.json" >"$work/gpu.out" 2>"$work/gpu.err"; status=$?
    [ "$status" -eq 0 ] || cat "$work/gpu.out" "$work/gpu.err"
    check 'the judge of a GPU runs whole on the stand-in' test "$status" -eq 0
    check 'and says that nothing was measured' says "$work/gpu.out" 'Nothing was measured'
    check 'no gate of speed is passed there' test "$(field "$work/gpu.json" '[g["name"] for g in d["gates"] if g["result"] != "not_measured"]')" = "['selftest: every kernel and implementation against the reference']"
    check 'every gate says why' test "$(field "$work/gpu.json" 'all(g["why"] for g in d["gates"] if g["result"] == "not_measured")')" = True
fi
finish
