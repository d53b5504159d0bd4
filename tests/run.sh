#!/usr/bin/env bash
# usage: tests/run.sh PROGRAM...   Runs each test program or script (from the repository root) and adds up their last lines
# "N passed, N failed, N skipped". A program that crashes, hangs or prints no such line counts as one failure.
# Output of a program is shown only where something failed or was skipped. BENCHTOP names the binary for scripts.
set -u
passed=0 failed=0 skipped=0
log=$(mktemp); trap 'rm -f "$log"' EXIT
for t in "$@"; do
    start=$(date +%s.%N)
    timeout -k 5 "${TEST_TIMEOUT:-240}" "$t" >"$log" 2>&1 </dev/null; status=$?
    took=$(printf '%.1f' "$(echo "$(date +%s.%N) - $start" | bc 2>/dev/null || echo 0)")
    last=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
    if [ -z "$last" ]; then
        p=0 f=1 s=0
    else
        read -r p _ f _ s _ <<<"$last"
        [ "$status" -ne 0 ] && [ "$f" -eq 0 ] && f=1 # a sanitizer's report after the last line, a leak
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    name=${t#*tests/}
    if [ "$f" -gt 0 ]; then
        printf 'FAIL  %-32s %6s s  exit %d%s\n' "$name" "$took" "$status" "$([ "$status" -eq 124 ] && echo ' (timed out)')"
        tail -n "${TEST_LINES:-60}" "$log" | sed 's/^/      /'
    else
        printf 'ok    %-32s %6s s  %s\n' "$name" "$took" "$last"
        [ "$s" -gt 0 ] && grep -a '^skipped:' "$log" | sort | uniq -c | sed 's/^/      /'
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
