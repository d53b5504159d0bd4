#!/usr/bin/env bash
# Registers, spills, shared memory and occupancy of every kernel for every architecture that was built, as the assembler
# reported them, against tests/build/resources.txt. Prints the table; RESOURCES=table shows it where nothing failed too.
set -u
build=$(dirname "${BENCHTOP:-build/benchtop}")
table=tests/build/resources.txt
skip() { echo "skipped: $1"; echo '0 passed, 0 failed, 1 skipped'; exit 0; }
[ -n "${SANITIZER:-}" ] && skip 'kernels are judged in the plain build'
reports=("$build"/kernels/cuda/*.resources)
[ -e "${reports[0]}" ] || skip 'no kernel was compiled by nvcc here: install the CUDA toolkit, or build without CUDA=0'
for r in "${reports[@]}"; do # of sources that are gone
    [ -e "kernels/cuda/$(basename "$r" .resources).cu" ] || rm -f "$r"
done
reports=("$build"/kernels/cuda/*.resources)

# file arch registers spills shared name, one line per kernel and architecture
facts() {
    for r in "${reports[@]}"; do
        awk -v file="$(basename "$r" .resources)" '
            function tell() { if (name != "") print file, arch, registers, spills, shared, name; name = "" }
            /Compiling entry function/ { tell(); split($0, q, "\x27"); name = q[2]; arch = q[4]; registers = spills = shared = 0 }
            /bytes stack frame/ && name != "" && !seen[name, arch]++ {
                for (i = 1; i < NF; i++) if ($(i + 1) == "bytes" && $(i + 2) == "spill") spills += $i }
            /ptxas info *: Used/ && name != "" {
                for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^registers/) registers = $i; if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i }
                tell() }
            END { tell() }' "$r"
    done | c++filt
}

report=$(facts | awk -v table="$table" '
    # Multiprocessors (CUDA C Programming Guide, "Technical Specifications per Compute Capability"): warps, blocks, KiB of
    # shared memory; 64 Ki registers each, handed out per warp in units of 256; 1 KiB of shared memory per block is the system'"'"'s.
    BEGIN {
        split("80 64 32 164 86 48 16 100 89 48 24 100 90 64 32 228 100 64 32 228 120 48 24 100", m, " ")
        for (i = 1; i in m; i += 4) { warps[m[i]] = m[i + 1]; blocks[m[i]] = m[i + 2]; kib[m[i]] = m[i + 3] }
        while ((getline line < table) > 0) {
            if (line ~ /^#/ || line !~ /[^ ]/) continue
            if (split(line, f, " ") != 8) { print "FAILED " table ": not eight columns: " line; failed++; continue }
            n++; for (i = 1; i <= 8; i++) limit[n, i] = f[i]
        }
        printf "%-44s %-8s %9s %6s %7s %7s %5s %5s\n", "kernel", "arch", "registers", "spills", "static", "dynamic", "warps", "of"
    }
    function up(x, unit) { return int((x + unit - 1) / unit) * unit }
    function least(a, b) { return a < b ? a : b }
    {
        file = $1; arch = $2; registers = $3; spills = $4; shared = $5
        name = $0; for (i = 1; i <= 5; i++) sub(/^[^ ]+ /, "", name)
        full = name; gsub(/\((int|bool|unsigned int|kernel_dtype|kernel_activation)\)/, "", name); sub(/\(anonymous namespace\)::/, "", name)
        sub(/^(static )?void /, "", name); plain = name; sub(/[<(].*/, "", plain); sub(/\(.*$/, "", name)
        sm = arch; gsub(/[^0-9]/, "", sm)
        row = 0
        for (i = 1; i <= n && !row; i++)
            if ((limit[i, 2] == "any" || limit[i, 2] == arch) && plain ~ ("^(" limit[i, 1] ")$")) row = i
        if (!row) { print "FAILED " full " (" file ", " arch ") is not in " table; failed++; next }
        used[row] = 1
        w = up(limit[row, 3], 32) / 32
        fit = least(blocks[sm], int(warps[sm] / w))
        per_warp = up(up(registers, 8) * 32, 256)
        # four schedulers, a quarter of the registers each
        fit = least(fit, int(int(16384 / per_warp) * 4 / w))
        fit = least(fit, int(kib[sm] * 1024 / (1024 + up(shared + limit[row, 4], 128))))
        resident = fit * w
        printf "%-44s %-8s %9d %6d %7d %7d %5d %5d\n", substr(name, 1, 44), arch, registers, spills, shared, limit[row, 4], resident, warps[sm]
        bad = ""
        if (registers > limit[row, 5]) bad = bad " " registers " registers, not " limit[row, 5] ";"
        if (spills > limit[row, 6]) bad = bad " " spills " bytes spilled, not " limit[row, 6] ";"
        if (shared > limit[row, 7]) bad = bad " " shared " bytes of static shared memory, not " limit[row, 7] ";"
        if (resident < limit[row, 8]) bad = bad " " resident " warps resident, not " limit[row, 8] ";"
        if (!(sm in warps)) bad = bad " no multiprocessor known for " arch ";"
        if (bad != "") { print "FAILED " full " (" file ", " arch "):" bad; failed++ } else passed++
    }
    END {
        for (i = 1; i <= n; i++) if (limit[i, 2] == "any" && !used[i]) { print "FAILED " table ": no kernel is called " limit[i, 1]; failed++ }
        printf "%d passed, %d failed, 0 skipped\n", passed, failed
    }')
echo "$report"
last=$(tail -n 1 <<<"$report")
case $last in '0 passed'*|*' 0 failed,'*) ;; *) exit 1 ;; esac
[ "${last%% *}" != 0 ]
