#!/usr/bin/env bash
# The program from its command line, on the fake device: every command, every exit code, interruption, kill, full disks, and
# requests that are impossible. BENCHTOP names the binary; runs from the repository root.
set -um # -m: children get signals as in an interactive shell (without it, background jobs ignore SIGINT)
BENCHTOP=${BENCHTOP:-build/benchtop}; case $BENCHTOP in /*) ;; *) BENCHTOP=$PWD/$BENCHTOP ;; esac
passed=0 failed=0 skipped=0
[ -x "$BENCHTOP" ] || { echo "there is no $BENCHTOP: build it first"; echo '0 passed, 1 failed, 0 skipped'; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache HOME=$work LC_ALL=C.UTF-8 TZ=UTC
export BENCHTOP_CATALOG=$PWD/presets
two=tests/data/presets/two-arms.json
slow=1; [ -n "${SANITIZER:-}" ] && slow=5

b() { timeout -k 2 $((60 * slow)) "$BENCHTOP" "$@"; }
report() { # name, then what is wrong (nothing: passed)
    if [ $# -eq 1 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED $1"; shift; printf '  %s\n' "$@"
        echo '  stdout:'; head -c 1500 "$work/out" | sed 's/^/    /'; echo '  stderr:'; head -c 1500 "$work/err" | sed 's/^/    /'
    fi
}
# expect NAME CODE STDOUT-PATTERN STDERR-PATTERN ARGUMENT...: '' asks for silence, '*' takes anything
expect() {
    local name=$1 code=$2 out=$3 err=$4 wrong=(); shift 4
    b "$@" >"$work/out" 2>"$work/err" </dev/null; local got=$?
    [ $got -eq "$code" ] || wrong+=("exit $got, not $code: $*")
    matches "$work/out" "$out" || wrong+=("standard output does not match: $out")
    matches "$work/err" "$err" || wrong+=("standard error does not match: $err")
    report "$name" ${wrong[@]+"${wrong[@]}"}
}
matches() { case $2 in '*') true ;; '') [ ! -s "$1" ] ;; *) grep -qE -- "$2" "$1" ;; esac; }
check() { local name=$1; shift; if "$@" >>"$work/out" 2>>"$work/err"; then report "$name"; else report "$name" "failed: $*"; fi; }
skip() { skipped=$((skipped + 1)); echo "skipped: $1"; }
json_tool=; command -v python3 >/dev/null && json_tool='python3 -m json.tool'; command -v jq >/dev/null && json_tool='jq .'
json() { if [ -z "$json_tool" ]; then skip "no jq and no python3: $1"; else check "$1" sh -c "$json_tool < '${2:-$work/out}' >/dev/null"; fi; }
has() { grep -qE -- "$2" "$1"; }
lacks() { ! grep -qE -- "$2" "$1"; }
# names every word in one message
all_of() { local f=$1 w; shift; for w in "$@"; do grep -qF -- "$w" "$f" || { echo "lacks $w"; return 1; }; done; }
wait_for() { local n=$((100 * slow)); while ! "$@" >/dev/null 2>&1; do n=$((n - 1)); [ $n -gt 0 ] || return 1; sleep 0.1; done; }
blocks_in() { [ -f "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]; }

# --- words about itself
expect '--version says version, commit and build' 0 '^benchtop [0-9]+\.[0-9]+\.[0-9]+ \(.+, (gcc|clang)' '' --version
expect '--help lists commands' 0 'benchtop compare BASE NEW' '' --help
expect 'run --help lists its options' 0 '--fail-on-criteria' '' run --help
expect 'help COMMAND is the same' 0 'benchtop export SESSION' '' help export
expect 'help of nothing known' 2 '' 'no command nonsense' help nonsense
expect 'the man page is roff' 0 '^\.TH BENCHTOP 1' '' manual
if command -v groff >/dev/null; then check 'groff has no complaint' sh -c "groff -man -Tutf8 -ww '$work/out' 2>&1 >/dev/null | grep -q . && exit 1 || exit 0"; fi
expect 'completion is bash' 0 'complete .*benchtop' '' completion
check 'bash accepts the completion' bash -n "$work/out"
completed() { # the line so far, one of the replies wanted
    PATH=$(dirname "$BENCHTOP"):$PATH bash --norc --noprofile -c '. "$0"; COMP_LINE=$1 COMP_POINT=${#1}; _benchtop; printf "%s\n" "${COMPREPLY[@]}"' "$work/completion" "$1" 2>/dev/null | grep -xF -- "$2"
}
cp "$work/out" "$work/completion"
check 'Tab completes a command' completed 'benchtop ru' run
check 'Tab completes an option' completed 'benchtop run quick --prec' --precision
check 'Tab completes a model' completed 'benchtop run quick --model gpt2-1' gpt2-124m
check 'Tab after = gives what follows it' completed 'benchtop run quick --arm base=att' attention:
check 'Tab after : gives what follows it' completed 'benchtop run quick --arm base=attention:fl' flash
expect 'completion of presets' 0 '^quick$' '' --complete run qui

# --- lists
for what in presets models implementations vocabularies texts devices formats; do
    expect "list $what" 0 '[a-z]' '' list $what
    expect "list $what --json" 0 '^\[' '' list $what --json
    json "list $what --json is JSON"
done
expect 'an empty list of sessions says so' 0 '' 'no session was saved' list sessions
expect 'and is an empty array' 0 '^\[\]$' '' list sessions --json
expect 'list of models counts parameters' 0 'gpt2-124m +124 M' '' list models
BENCHTOP_CATALOG=/nonexistent expect 'a list without the catalog says so' 0 '*' 'set BENCHTOP_CATALOG' list models
BENCHTOP_CATALOG=/nonexistent expect 'a run without the catalog says so' 1 '' 'set BENCHTOP_CATALOG' run quick
expect 'list misspelled' 2 '' 'did you mean models' list modles
expect 'doctor tells what was found' 0 'cpu' '' doctor
expect 'doctor --json' 0 'benchtop/doctor/1' '' doctor --json
json 'doctor --json is JSON'
expect 'plan tells every cell and arm' 0 'tiny-llama +decode +1 +32 +fast' '' plan $two
check 'plan has a row for every arm of every cell' [ "$(grep -c tiny-llama "$work/out")" -eq 8 ]
expect 'plan --json' 0 'benchtop/plan/1' '' plan $two --json
json 'plan --json is JSON'
vocabulary=presets/vocabularies/gpt-2.gguf
expect 'tokenize needs a vocabulary' 2 '' 'needs a vocabulary' tokenize
expect 'a file that is not there' 1 '' 'cannot be opened' tokenize --model x.gguf --whole
expect 'a file without a vocabulary' 1 '' 'no vocabulary' tokenize --model tests/data/malformed/gguf/v02_valid_kv.gguf
printf 'Hello world\n\n a' | b tokenize --model $vocabulary >"$work/out" 2>"$work/err"
check 'tokenize gives a line of ids per line of text' test "$(cat "$work/out")" = $'15496 995\n\n257'
printf 'Hello world' | b tokenize --model gpt2-124m >"$work/out" 2>"$work/err"
check 'tokenize takes a model by its name' test "$(cat "$work/out")" = '15496 995'
expect 'tokenize with a model that names no vocabulary' 2 '' 'names no vocabulary' tokenize --model llama-7b
printf 'a<|endoftext|>' | b tokenize --model $vocabulary >"$work/out" 2>"$work/err"
check 'tokenize finds control tokens in a text' test "$(cat "$work/out")" = '64 50256'
printf 'a<|endoftext|>' | b tokenize --model $vocabulary --no-special >"$work/out" 2>"$work/err"
check 'and without special ones reads them as any text' test "$(cat "$work/out")" = '64 27 91 437 1659 5239 91 29'
printf 'a\nb' | b tokenize --model $vocabulary --whole >"$work/out" 2>"$work/err"
check 'tokenize --whole takes one text' test "$(cat "$work/out")" = '64 198 65'
check 'vocab build writes a vocabulary and tells what it saves' bash -c "'$BENCHTOP' vocab build gpt-2 --text tinyshakespeare --split 50 --out '$work/v.json' >'$work/out'"
check 'held out' grep -Eq 'held out +170009 -> [0-9]+ tokens \(2[5-9]\.. % fewer\)' "$work/out"
check 'and that output is not equivalent' grep -q 'output not equivalent (embeddings not fine-tuned)' "$work/out"
check 'it is the one that is shipped but for its name' bash -c "diff <(grep -v '\"name\"' '$work/v.json') <(grep -v '\"name\"' presets/vocabularies/shakespeare-gpt-2.json)"
expect 'vocab show tells what a file holds' 0 'KING RICH' '' vocab show shakespeare-gpt-2
expect 'vocab show judges by a text given' 0 'text given +338025 -> ' '' vocab show shakespeare-gpt-2 --text tinyshakespeare
expect 'vocab build needs a text' 2 '' 'needs a text and a file' vocab build gpt-2
expect 'vocab build of a model without a vocabulary' 2 '' 'names no vocabulary' vocab build llama-7b --text tinyshakespeare --out "$work/w.json"
check 'nothing was written' [ ! -e "$work/w.json" ]
expect 'vocab show of a file that is none' 2 '' 'schema' vocab show presets/quick.json
cat >"$work/tiny.json" <<'END'
{"schema": "benchtop/model/1", "name": "tiny", "title": "A tiny llama", "family": "llama", "layers": 2, "d_model": 64,
 "heads": 4, "kv_heads": 2, "head_dim": 16, "ffn": 172, "vocab": 211, "context": 128, "norm_eps": 1e-5,
 "rope_theta": 10000, "rotary_dims": 16, "tied": true, "published_parameters": 0, "source": "a test"}
END
expect 'a sparse arm without a rotation is refused with the command that makes it' 0 \
  'calibrate-larosa tiny --text tinyshakespeare' '' plan quick --model "$work/tiny.json" --arm sparse-40
expect 'calibrate-larosa needs a text' 2 '' 'needs a text' calibrate-larosa "$work/tiny.json"
expect 'calibrate-larosa of what is no llama' 1 '' 'no llama' calibrate-larosa gpt2-124m --text tinyshakespeare
expect 'calibrate-larosa of too few tokens' 2 '' 'too few' calibrate-larosa "$work/tiny.json" --text tinyshakespeare --tokens 9
expect 'calibrate-larosa keeps a rotation' 0 'rotations/tiny-' '' \
  calibrate-larosa "$work/tiny.json" --text tinyshakespeare --tokens 500 --quiet
expect 'the arm runs with it' 0 'sparse-40' '' run quick --model "$work/tiny.json" --arm baseline --arm sparse-40 \
  --workload decode --seq 8 --runs 2 --max-rounds 2 --quiet --out "$work/sparse.json"
cat >"$work/gpt.json" <<'END'
{"schema": "benchtop/model/1", "name": "tiny-gpt2", "title": "A tiny gpt2", "family": "gpt2", "layers": 2, "d_model": 64,
 "heads": 4, "kv_heads": 4, "head_dim": 16, "ffn": 256, "vocab": 50257, "vocabulary": "gpt-2", "context": 128,
 "norm_eps": 1e-5, "tied": true, "published_parameters": 0, "source": "a test"}
END
head -c 600 presets/texts/tinyshakespeare.txt >"$work/text.txt"
expect 'normal against fused says that the output is not equivalent' 0 'output not equivalent' '' run normal-vs-fused \
  --model "$work/gpt.json" --text "$work/text.txt" --workload tokenize,generate --tokens 4 --seq 8 --runs 2 --max-rounds 2 \
  --quiet --out "$work/fused.json"
expect 'and its report holds what was measured' 0 'tokenize: tokens in all \| [0-9]+ \| [0-9]+ \| -[0-9.]+ %' '' \
  export "$work/fused.json" --to md
check 'with caches and responses' all_of "$work/out" 'generate: KV cache' '## Responses' 'random weights'
expect 'vocab biuld' 2 '' 'build' vocab biuld x
expect 'model show tells keys and tensors' 0 '1 F32 tensors, 256 B' '' model show tests/data/malformed/gguf/v03_valid_tensor_f32.gguf
expect 'terminal escapes in a file stay in it' 0 'general.name' '' model show tests/data/malformed/gguf/k15_invalid_utf8.gguf
check 'nothing but text was printed' lacks "$work/out" $'\033'
expect 'a damaged file says where' 1 '' 'overlaps another one' model show tests/data/malformed/gguf/d20_overlap.gguf
expect 'model show without a file' 2 '' 'needs a FILE' model show
expect 'model write needs a place' 2 '' 'needs --out FILE.gguf' model write gpt2-124m
expect 'model write of a type that GGUF has not' 1 '' 'GGUF has no such type' model write gpt2-124m --precision nf4 --out "$work/m.gguf"
expect 'model write of an unknown model' 2 '' 'did you mean' model write gtp2-124m --out "$work/m.gguf"
expect 'model shwo' 2 '' 'show' model shwo x.gguf
expect 'the fake has nothing to test' 2 '' 'fake device' selftest --device fake

# --- impossible requests: exit 2, nothing started, the nearest names
expect 'no terminal: says what to do instead' 2 '' 'benchtop run quick' quick
expect 'unknown command' 2 '' 'run' rnu quick
expect 'unknown preset' 2 '' 'quick' run quik
expect 'unknown preset of the interface' 2 '' 'quick' quik
expect 'unknown option' 2 '' '--batch' run quick --bacth 1
expect 'option of another command' 2 '' 'benchtop export' run quick --to md
expect 'missing operand' 2 '' 'PRESET' run
expect 'one word too many' 2 '' 'too many' show one two
expect 'unknown model' 2 '' 'gpt2-124m' run quick --model gpt2-124
expect 'unknown arm' 2 '' 'fused' run quick --arm fusd
expect 'unknown axis' 2 '' 'attention' run quick --arm baseline=atention:flash
expect 'an axis given twice' 2 '' 'attention is given twice' run quick --arm baseline=attention:flash,attention:naive
expect 'unknown value of an axis' 2 '' 'flash' run quick --arm baseline=attention:flsh
expect 'unknown precision' 2 '' 'fp16' run quick --precision fp17
expect 'unknown workload' 2 '' 'decode' run quick --workload decod
expect 'unknown key of --set' 2 '' 'seed' run quick --set sed=1
expect 'unknown device' 2 '' 'cpu' run quick --device cpuu
expect 'a device that is not there' 2 '' 'cuda' run quick --device cuda:7
expect 'unknown format' 2 '' 'csv' export x --to csw
expect 'unknown session' 2 '' 'no session' show 2020-01-01T00-00-00-nothing
expect 'export without a format' 2 '' '--to' export x
expect 'batch 0' 2 '' 'batch' run $two --batch 0
expect 'a sequence beyond the context' 2 '' '128' run $two --seq 129
expect 'negative runs' 2 '' 'rounds|runs' run $two --runs -3
expect '--fail-on-criteria without criteria' 2 '' 'criteria' run $two --set criteria.min_speedup=null --fail-on-criteria
expect 'an --out in no folder' 2 '' 'no folder' run $two --out "$work/nowhere/s.json"
expect 'an --out that is a folder' 2 '' 'folder' run $two --out "$work"
expect 'an --out that is a device' 2 '' 'not a regular file' run $two --out /dev/null
expect 'everything impossible is told at once' 2 '' 'batch' run $two --batch 0 --seq 99999 --runs -1 --model gtp2-124m --precision fp17 --device cpuu
check 'in one message' all_of "$work/err" batch 99999 gpt2-124m fp17 cpuu
check 'in one line' [ "$(wc -l <"$work/err")" -eq 1 ]
check 'none of these left a session behind' sh -c "! ls '$work'/data/benchtop/sessions/* 2>/dev/null | grep ."
printf '{"schema":"benchtop/preset/1","name":"x","batch":"many"}' >"$work/bad.json"
expect 'a bad preset names file, key and what was expected' 2 '' 'bad.json.*batch' run "$work/bad.json"
printf '{"schema":' >"$work/cut.json"; : >"$work/empty.json"; printf '\x00\xff\xfe' >"$work/bytes.json"
for f in cut empty bytes; do
    b run "$work/$f.json" >"$work/out" 2>"$work/err"; code=$?
    check "a preset of $f JSON is refused in words" sh -c "[ $code -eq 2 -o $code -eq 1 ] && grep -q '^benchtop: .*$f.json' '$work/err'"
    b show "$work/$f.json" >"$work/out" 2>"$work/err"; code=$?
    check "a session of $f JSON is refused in words" sh -c "[ $code -eq 1 -o $code -eq 2 ] && grep -q '^benchtop: .*$f.json' '$work/err'"
done
expect 'a preset is no session' 2 '' 'benchtop/session/1.*benchtop/preset/1' show $two
sed 's/"seed": 7/"seed": 7, "colour": "red"/' $two >"$work/unknown.json"
expect 'an unknown key is reported and the run goes on' 0 'fast' 'colour' run "$work/unknown.json"

# --- a run
expect 'run prints the table and the path' 0 'faster' 'cell 1 of 4' run $two --out "$work/a.json"
check 'the table names the session' has "$work/out" "session .*/a.json"
check 'every cell was told when done' [ "$(grep -c '  ok' "$work/err")" -eq 4 ]
check 'the session is there' [ -s "$work/a.json" ]
check 'its journal is gone' [ ! -e "$work/a.json.journal" ]
json 'the session is JSON' "$work/a.json"
check 'it keeps the command line' has "$work/a.json" '"--out"'
expect 'a quiet run tells no progress' 0 'faster' '' run $two --quiet
check 'without --out the session goes to the sessions folder' sh -c "ls '$work'/data/benchtop/sessions/*two-arms.json"
expect 'list sessions knows it' 0 'two-arms' '' list sessions
expect 'run --json prints the whole session' 0 'benchtop/session/1' '*' run $two --json --out "$work/j.json"
json 'which is JSON'
check 'and nothing else' cmp "$work/out" "$work/j.json"
expect 'the same seed gives the same samples' 0 'benchtop/session/1' '*' run $two --json --quiet --out "$work/k.json"
samples() { tr -d ' \n' <"$1" | grep -oE '"samples_ns":\[[0-9,]*\]'; }
check 'bit for bit' sh -c "[ -n \"\$1\" ] && [ \"\$1\" = \"\$2\" ]" - "$(samples "$work/j.json")" "$(samples "$work/k.json")"
expect 'another seed gives others' 0 '*' '*' run $two --quiet --seed 8 --out "$work/l.json"
check 'so it does' sh -c "[ \"\$1\" != \"\$2\" ]" - "$(samples "$work/j.json")" "$(samples "$work/l.json")"
expect 'overrides are applied' 0 'decode' '*' run $two --workload decode --seq 16 --batch 1,2 --runs 3 --set samples_per_block=2 --out "$work/o.json"
check 'and only these cells ran' [ "$(tr -d ' \n' <"$work/o.json" | grep -oE '"status":"ok"' | wc -l)" -ge 2 ]
expect 'a fault costs its cell alone' 0 'out_of_memory' '*' run $two --set 'fake.faults={"1":"out_of_memory"}'
expect 'an arm by axes' 0 'mine' '*' run $two --arm baseline --arm mine=attention:flash,precision:bf16 --runs 3

# --- exit codes of verdicts
expect 'criteria met' 0 '*' '*' run $two --fail-on-criteria
expect 'criteria failed' 3 '*' 'criterion min_speedup' run $two --fail-on-criteria --set criteria.min_speedup=2
expect 'every cell failed' 1 '*' 'no cell was measured' run $two --set 'fake.faults={"0":"failed","1":"failed","2":"failed","3":"failed"}'
expect 'criteria without data, cells failed' 1 '*' '*' run $two --fail-on-criteria --set 'fake.faults={"0":"failed","1":"failed","2":"failed","3":"failed"}'

# --- show, export, compare
expect 'show prints the table' 0 'faster' '' show "$work/a.json"
expect 'show --json is the session' 0 'benchtop/session/1' '' show "$work/a.json" --json
json 'show --json is JSON'
id=$(basename "$(grep -L colour "$work"/data/benchtop/sessions/*two-arms*.json | head -1)" .json)
expect 'show knows an id' 0 'faster' '' show "$id"
expect 'a misspelled id has neighbors' 2 '' "$id" show "${id}x"
for format in json jsonl csv md html llama-bench vllm-latency; do
    expect "export --to $format" 0 '.' '' export "$work/a.json" --to $format
    cp "$work/out" "$work/first"
    expect "export --to $format --out" 0 '' '' export "$work/a.json" --to $format --out "$work/export"
    check "the file of $format holds the same" cmp "$work/first" "$work/export"
done
for format in json llama-bench vllm-latency; do b export "$work/a.json" --to $format >"$work/out" 2>"$work/err"; json "$format is JSON"; done
sed -e 's/"mean_ms": 8/"mean_ms": 9/' $two >"$work/slower.json"
expect 'a slower second run' 0 '*' '*' run "$work/slower.json" --out "$work/slow.json" --seed 9
sed -e 's/"within_sd": 0.02, "between_sd": 0.005/"within_sd": 0.5, "between_sd": 0.5/g' $two >"$work/noisy.json"
expect 'a noisy run' 0 '*' '*' run "$work/noisy.json" --runs 3 --out "$work/noise.json"
expect 'compare finds the change' 0 'slower' '*' compare "$work/a.json" "$work/slow.json"
expect 'compare --json' 0 '^\{' '*' compare "$work/a.json" "$work/slow.json" --json
json 'compare --json is JSON'
expect 'compare gates on a regression' 3 '*' 'slower by more than 5 %' compare "$work/a.json" "$work/slow.json" --fail-on-regression 5
expect 'compare passes under the limit' 0 '*' '*' compare "$work/a.json" "$work/slow.json" --fail-on-regression 50
expect 'compare of a session with itself passes' 0 '*' '*' compare "$work/a.json" "$work/a.json" --fail-on-regression 5
expect 'noise is inconclusive where a verdict was demanded' 4 '*' 'inconclusive' compare "$work/noise.json" "$work/noise.json" --fail-on-regression 1
expect 'a run of another batch' 0 '*' '*' run $two --batch 7 --runs 2 --out "$work/other.json"
expect 'nothing in common' 1 '*' 'share no' compare "$work/a.json" "$work/other.json" --fail-on-regression 5

# --- other tools' files, under the same definitions
echo '{"results":[{"command":"x","times":[1.00,1.01,0.99,1.00,1.01,0.99]}]}' >"$work/hyper-a.json"
echo '[{"n_prompt":1,"n_gen":0,"avg_ns":5}]' >"$work/empty-bench.json"
echo '{"results":[{"command":"x","times":[1.20,1.21,1.19,1.20,1.21,1.19]}]}' >"$work/hyper-b.json"
expect 'compare reads hyperfine' 3 'x .*command.* slower, REGRESSION' 'hyperfine samples: each process is a block' compare "$work/hyper-a.json" "$work/hyper-b.json" --fail-on-regression 5
b export "$work/a.json" --to llama-bench >"$work/bench.json" 2>"$work/err"
expect 'compare reads our own llama-bench export' 0 'equivalent' 'llama-bench samples' compare "$work/bench.json" "$work/bench.json" --fail-on-regression 5
expect 'a file without samples says what to do' 1 '' 'llama-bench -o json' compare "$work/hyper-a.json" "$work/empty-bench.json"
echo '{"foo":1}' >"$work/foreign.json"
expect 'a file of nobody names what is read' 2 '' 'hyperfine and nvbench are' compare "$work/hyper-a.json" "$work/foreign.json"
echo '{"avg_latency":1,"latencies":[1.0,1.1,1.05,1.02,1.01],"percentiles":{}}' >"$work/latency.json"
expect 'compare tells no batch that a file does not tell' 0 'generate, vllm bench latency: .*' '*' compare "$work/latency.json" "$work/latency.json"
check 'and counts one comparison' has "$work/out" 'over 1 comparison \(Holm\)'

# --- history: a cell over all saved sessions, in a folder of its own
history() { XDG_DATA_HOME=$work/history expect "$@"; }
history 'history of nothing' 1 '' 'benchtop run makes one' history
for i in 1 2 3 4 5; do XDG_DATA_HOME=$work/history b run $two --batch 1 --seq 16 --quiet --seed $i >"$work/out" 2>"$work/err"; done
history 'five equal sessions are steady' 0 'steady' '' history
history 'and pass a gate' 0 '*' '' history --fail-on-regression 5
XDG_DATA_HOME=$work/history b run "$work/slower.json" --batch 1 --seq 16 --quiet --seed 6 >"$work/out" 2>"$work/err"
history 'a slower sixth is a regression' 3 'REGRESSION' 'fast .* outside what 5 earlier sessions predict' history --fail-on-regression 5
history 'a wide gate lets it pass' 0 'slower' '' history --fail-on-regression 50
history 'the words choose cells' 0 'decode' '' history fast decode
check 'and leave the others out' lacks "$work/out" 'prefill'
history 'words that match nothing' 1 '' 'no cell of 6 sessions matches' history nonsense
history 'history --json' 0 'benchtop/history/1' '' history --json
json 'history --json is JSON'
last=$(ls -t "$work/history/benchtop/sessions" | head -1)
history 'what changed before --since is accepted, and too short to judge' 4 'too short' 'cannot be judged' history --since "${last%.json}" --fail-on-regression 5
history 'an unknown session' 2 '' 'no saved session is called' history --since nonsense

# --- output that cannot be written is an error
for args in "show $work/a.json" "run $two --quiet" "list models" "plan $two" "--help" "export $work/a.json --to md" "doctor --json"; do
    b $args >/dev/full 2>"$work/err"; code=$?; : >"$work/out"
    check "a full standard output is told: ${args%% *}" sh -c "[ $code -eq 1 ] && grep -q 'could not be written' '$work/err'"
    b $args >&- 2>"$work/err"; code=$?
    check "a closed standard output is told: ${args%% *}" sh -c "[ $code -eq 1 ] && grep -q 'could not be written' '$work/err'"
done
b run $two --json --quiet --out "$work/pipe.json" 2>"$work/err" | true; code=${PIPESTATUS[0]}
check 'a pipe closed by the reader is no crash' [ "$code" -le 1 ]
check 'and the session is saved all the same' [ -s "$work/pipe.json" ]
b list models 2>"$work/err" | head -n 1 >"$work/out"
check_pipe() { [ ! -s "$work/err" ]; }
if check_pipe; then passed=$((passed + 1)); else failed=$((failed + 1)); echo 'FAILED a reader that has seen enough is no error to talk about'; cat "$work/err"; fi
expect 'export to a full device is told' 1 '' 'could not be written' export "$work/a.json" --to md --out /dev/full
printf old >"$work/kept"
(ulimit -f 1; b export "$work/a.json" --to json --out "$work/kept") >"$work/out" 2>"$work/err"; code=$?
check 'export that meets a size limit is told' sh -c "[ $code -eq 1 ] && grep -q 'could not be written' '$work/err'"
check 'and the old file is untouched' [ "$(cat "$work/kept")" = old ]
check 'and no temporary file is left' sh -c "! ls '$work' | grep tmp"

# --- a session that cannot be written: nothing is lost silently
long="$two --realtime --runs 500 --set max_rounds=500"
start() { "$BENCHTOP" run $long --out "$1" >"$work/out" 2>"$work/err" </dev/null & pid=$!; wait_for blocks_in "$1.journal" 6; }
start "$work/dir.json"; mkdir "$work/dir.json"; kill -INT $pid; wait $pid; code=$?
check 'a file that cannot be replaced is an error' [ $code -eq 1 ]
check 'which names the place taken instead' has "$work/err" 'written to .*/sessions/dir.json instead'
expect 'where the session is whole' 0 'baseline' '*' show "$work/data/benchtop/sessions/dir.json"
mkdir "$work/small"
(ulimit -f 24; XDG_DATA_HOME=$work/small TMPDIR=$work/small b run $two --runs 40 --set max_rounds=40 --out "$work/small/s.json") >"$work/out" 2>"$work/err"; code=$?
check 'a full disk is an error' [ $code -eq 1 ]
check 'the table was printed all the same' has "$work/out" 'faster'
check 'and what the journal holds is told' has "$work/err" 's.json.journal holds [0-9]+ of its [0-9]+ samples: make room'
expect 'that much can be shown' 0 'baseline' '*' show "$work/small/s.json"

# --- interruption
for signal in INT TERM HUP; do
    start "$work/$signal.json"; kill -$signal $pid; wait $pid; code=$?
    check "SIG$signal stops and exits 130" [ $code -eq 130 ]
    check "the table was printed after SIG$signal" has "$work/out" 'baseline'
    check "the partial session was saved after SIG$signal" has "$work/$signal.json" '"status": ?"stopped"'
    json "it is JSON after SIG$signal" "$work/$signal.json"
    expect "show knows the partial session of SIG$signal" 0 'baseline' '*' show "$work/$signal.json"
done
sed 's/"mean_ms": [0-9]*/"mean_ms": 3000/' $two >"$work/long-sample.json"
"$BENCHTOP" run "$work/long-sample.json" --realtime --out "$work/twice.json" >"$work/out" 2>"$work/err" </dev/null & pid=$!
wait_for blocks_in "$work/twice.json.journal" 1
kill -STOP $pid; kill -INT $pid; kill -TERM $pid; kill -CONT $pid # both before it can act on the first
code=147; while [ $code -eq 147 ]; do wait $pid; code=$?; done # 147: the shell tells of the stop first
check 'a second signal exits 130' [ $code -eq 130 ]
check 'at once' has "$work/err" 'left at once: .*twice.json.journal'
check 'with the journal on disk' [ -s "$work/twice.json.journal" ]
mkdir "$work/together"
for i in 1 2 3 4; do (XDG_DATA_HOME=$work/together b run $two --runs 3 --quiet >"$work/out$i" 2>"$work/err$i"; echo $? >"$work/code$i") & done; wait
check 'runs that start together all end well' [ "$(cat "$work"/code[1-4] | tr -d '\n')" = 0000 ]
check 'and each leaves a session of its own' [ "$(ls "$work/together/benchtop/sessions" | grep -c 'json$')" = 4 ]
start "$work/kill.json"; kill -9 $pid; wait $pid 2>/dev/null
check 'kill -9 leaves the journal' [ -s "$work/kill.json.journal" ]
check 'and no session' [ ! -e "$work/kill.json" ]
expect 'show recovers a killed run' 0 'baseline' '*' show "$work/kill.json"
expect 'export recovers a killed run' 0 'baseline' '*' export "$work/kill.json.journal" --to csv
samples "$work/kill.json.journal" | head -4 >"$work/before"
printf '{"cut' >>"$work/kill.json.journal"
expect 'a half-written last line is no obstacle' 0 'baseline' '*' show "$work/kill.json"
expect 'resume refuses overrides' 2 '' 'resume' run --resume "$work/kill.json" --batch 2
expect 'resume refuses another preset' 2 '' 'two-arms' run quick --resume "$work/kill.json"
sed 's/"rounds": 12,/"rounds": 200,/; s/"max_rounds": 12/"max_rounds": 200/' $two >"$work/some.json"
"$BENCHTOP" run "$work/some.json" --realtime --set samples_per_block=1 --seq 16 --out "$work/r.json" >"$work/out" 2>"$work/err" </dev/null & pid=$!
wait_for has "$work/err" 'cell 2'; sleep 0.3; kill -9 $pid; wait $pid 2>/dev/null
expect 'resume finishes a killed run' 0 'faster' '*' run --resume "$work/r.json" --out "$work/resumed.json"
check 'as a complete session' has "$work/resumed.json" '"status": ?"complete"'
b export "$work/r.json" --to csv 2>/dev/null | grep ok | head -1 | cut -d, -f1-20 >"$work/before"
expect 'resume writes to its own place by default' 0 "session .*/r.json" '*' run --resume "$work/r.json"
expect 'a session is run again with its preset' 0 'faster' '*' run "$work/resumed.json" --out "$work/again.json"
b plan "$work/resumed.json" --json >"$work/out" 2>"$work/err"; check 'and planned' has "$work/out" '"preset":.*two-arms'
expect 'a complete session has nothing to resume' 0 'faster' 'nothing is left to resume' run --resume "$work/r.json"
check 'where the journal is gone' [ ! -e "$work/r.json.journal" ]

# --- the experiment: fresh processes, watching, time to spend, calibration, factorial designs
expect 'a strict run measures in processes' 0 'faster' '*' run $two --device fake --strict --runs 6 --quiet --out "$work/strict.json"
check 'and its session says so' has "$work/strict.json" '"strict": true'
expect 'a watched run stops at its decision' 0 '*' 'decided' run $two --device fake --watch --set max_rounds=60 --out "$work/watched.json"
expect 'time is spent on open cells' 0 '*' 'precision|time spent|cap' run quick --device fake --time 5m --set max_rounds=40 --out "$work/spent.json"
expect 'and none on cells that nobody doubts' 0 'faster' 'planned rounds' run $two --device fake --time 5m --set max_rounds=40 --out "$work/settled.json"
expect 'a time that is none' 2 '' '--time soon: expected a time' run $two --time soon
expect 'calibrate tells the noise floor' 0 'noise floor' 'are calibrated in' calibrate $two --device fake --runs 8
expect 'and a later run prints it' 0 "noise floor is" '*' run $two --device fake --runs 6 --quiet --out "$work/after.json"
json 'the calibration is JSON' "$(echo "$work"/data/benchtop/calibration/*.json)"
expect 'too few rounds calibrate nothing' 1 '*' 'nothing was calibrated' calibrate $two --device fake --runs 3
expect 'the ablation says what each factor gains' 0 'on top of fusion' '*' run ablation --device fake --runs 5 --max-rounds 5 --quiet --out "$work/ablation.json"
expect 'and so does its report' 0 '### Ablation' '' export "$work/ablation.json" --to md
expect 'a design without its arms is refused' 2 '' 'stands for the run' run ablation --arm baseline --arm flash
expect 'the child of a strict run wants a parent' 1 '' '' block

# --- the size of the machine
expect 'nothing fits: one sentence, exit 1' 1 '' 'no cell of .* can run' run quick --model llama3-70b --batch 1024 --seq 4096
check 'and by how much' has "$work/err" 'too much|GiB'
expect 'what fits runs, the rest is told before' 0 'tiny-llama' 'llama3-70b.*GiB' run $two --device cpu --model tests/data/models/tiny-llama.json --model llama3-70b --workload prefill --seq 16 --runs 2 --out "$work/fits.json"
check 'as rows out_of_memory' has "$work/fits.json" '"status": ?"out_of_memory"'

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
