#!/usr/bin/env bash
# Every kernel waits for the kernels before it, first of all (kernel_begin, kernels/cuda/device.cuh): in its source, and in the
# PTX of every architecture on which launches overlap no global memory is touched before the wait. What may come first
# is to ask L2 for weights (prefetch_..., cp.async.bulk.prefetch.L2): nothing is looked at.
set -u
build=$(dirname "${BENCHTOP:-build/benchtop}")
passed=0 failed=0 skipped=0

# FILE NAME of each kernel whose first statement is another; "kernels N" at the end
sources=(kernels/cuda/*.cu kernels/cuda/*.cuh)
found=$(awk '
    FNR == 1 { head = 0; body = 0 }
    body && /^    prefetch_[a-z_]+(<.*>)?\(.*\);$/ { next }
    body { if ($0 !~ /^    kernel_begin\(\);$/) print FILENAME ":" at ": its first statement is not kernel_begin(): " $0; body = 0; kernels++ }
    /__global__/ && !/^ *(\/\/|\/\*|\*)/ { head = 1; at = FNR }
    head && /;$/ { head = 0 }
    head && /^\{$/ { head = 0; body = 1 }
    END { print "kernels " kernels + 0 }' "${sources[@]}")
count=${found##*kernels }
wrong=$(grep -v '^kernels ' <<<"$found")
if [ -n "$wrong" ]; then echo "FAILED kernels that do not wait:"; echo "$wrong"; failed=$(grep -c . <<<"$wrong"); fi
passed=$((count - failed))
[ "$count" -gt 0 ] || { echo 'FAILED no kernel was found'; failed=1; passed=0; }

shopt -s nullglob
ptx=("$build"/kernels/cuda/*.ptx)
if [ -n "${SANITIZER:-}" ] || [ ${#ptx[@]} -eq 0 ]; then
    echo 'skipped: no PTX to look at: nvcc compiled nothing here'; skipped=1
else
    report=$(awk '
        /^\.target/ { split($2, t, /[,_]/); sm = t[2]; gsub(/[^0-9]/, "", sm) }
        /\.entry/ { name = $0; sub(/.*\.entry */, "", name); sub(/\(.*/, "", name); waiting = sm >= 90; entries += waiting }
        waiting && /griddepcontrol\.wait/ { waiting = 0 }
        /cp\.async\.bulk\.prefetch\.L2/ { next }
        waiting && /^[ \t]*(@[!%a-z0-9]+ +)?(ld|st|atom|red|cp|prefetch)\./ && !/(ld\.param|ld\.const|ld\.shared|st\.shared|ld\.local|st\.local)/ {
            print "FAILED " FILENAME ": " name " (sm_" sm ") touches memory before it waits: " $0; waiting = 0; failed++ }
        waiting && /^}/ { print "FAILED " FILENAME ": " name " (sm_" sm ") never waits"; waiting = 0; failed++ }
        END { print entries + 0, failed + 0 }' "${ptx[@]}")
    grep '^FAILED' <<<"$report"
    read -r entries bad < <(tail -n 1 <<<"$report")
    passed=$((passed + entries - bad)) failed=$((failed + bad))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
