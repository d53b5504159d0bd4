#!/usr/bin/env bash
# What a machine can hold of our conventions: format, include directions, one curses user, headers that compile alone, sizes.
# Findings that break the design fail; sizes are reported.
set -u
cd "$(dirname "$0")/.."
bad=0
fail() { echo "lint: $1"; shift; [ $# -gt 0 ] && printf '  %s\n' "$@"; bad=1; }
files=$(git ls-files 'tui/*.[ch]' 'engine/*.[ch]' 'kernels/*.[ch]' 'stats/*.[ch]' 'presets/*.[ch]' 'tests/*.[ch]')
device=$(git ls-files '*.cu' '*.cuh' '*.cc') # CUDA C++ and the stand-in for its runtime: format alone
product=$(echo "$files" | grep -v '^tests/')

extra=$(git ls-files | cut -d/ -f1 | sort -u | grep -vE '^(\..+|Makefile|tui|engine|kernels|stats|presets|tests|README\.md)$')
[ -z "$extra" ] || fail "the top level holds more than the design allows" $extra

# room  may include
directions='tui:tui|engine|stats|presets
engine:engine|kernels|stats|presets
kernels:kernels
stats:stats
presets:presets'
while IFS=: read -r room may; do
    rows=$(echo "$product" | grep "^$room/" | xargs -r grep -nE '^#[[:space:]]*include "' | grep -vE "include \"($may)/")
    [ -z "$rows" ] || fail "$room includes a room it must not see" "$rows"
done <<<"$directions"

only() { # header pattern, files that may include it, what
    rows=$(echo "$product" | xargs grep -nE "#[[:space:]]*include[[:space:]]*[<\"]($1)" | grep -vE "^($2)")
    [ -z "$rows" ] || fail "$3" "$rows"
}
only 'n?curses|ncursesw/|term\.h' 'tui/screen\.c:' 'curses outside tui/screen.c'
only 'gsl/' 'stats/' 'gsl outside stats/'
only 'cJSON|cjson/' 'presets/|engine/(session|journal|export)' 'cJSON outside presets/ and the session, journal and export modules'
only 'cuda|cublas|nvml' 'kernels/cuda/' 'CUDA headers outside kernels/cuda/'

rows=$(echo "$product" | xargs grep -nE '\b(strcpy|strcat|sprintf|gets|strtok|atoi|atof)\(' )
[ -z "$rows" ] || fail 'a function that cannot be used safely' "$rows"
rows=$(git grep -nE 'TODO|FIXME|XXX|not implemented' -- 'tui' 'engine' 'kernels' 'stats' 'presets/*.[ch]' 'presets/*.json' Makefile README.md | head)
[ -z "$rows" ] || fail 'unfinished, by its own words' "$rows"

flags="-std=gnu17 -Wall -Wextra -Wpedantic -I. $(pkg-config --cflags ncursesw libcjson gsl 2>/dev/null)"
# kernels/cpu/level*.h and vector.h are one source compiled once per SIMD level, with the level's macros set before.
for h in $(echo "$product" | grep '\.h$' | grep -vE '^kernels/cpu/(level.*|vector)\.h$'); do
    cuda=; case $h in kernels/cuda/*) cuda=-Itests/emu/include ;; esac # no toolkit is needed to judge a header
    echo "#include \"$h\"" | ${CC:-gcc} $flags $cuda -Werror -fsyntax-only -xc - 2>/tmp/lint.$$ || fail "$h does not compile alone" "$(head -3 /tmp/lint.$$)"
done
rm -f /tmp/lint.$$

if command -v clang-format >/dev/null; then
    rows=$(echo "$files" "$device" | xargs clang-format --dry-run 2>&1 | grep -E 'warning: code should' | cut -d: -f1 | sort | uniq -c)
    [ -z "$rows" ] || fail "not formatted (clang-format -i; $(clang-format --version | grep -o 'version [0-9]*'))" "$rows"
else
    echo 'lint: clang-format is not here: format was not checked (DEPS=ci make deps installs it)'
fi

echo "files over 600 lines:"; echo "$product" | xargs wc -l | awk '$2 != "total" && $1 > 600 {print "  " $1, $2}' | sort -rn
echo "functions over 80 lines:"
for f in $(echo "$product" | grep '\.c$'); do # Linux brace style: a function's braces stand in column 0
    awk -v f="$f" '/^[a-z].*\)$/ || /^[a-z].*\($/ || /^[a-z].*,$/ {head = $0} /^\{/ {start = NR; name = head}
        /^\}/ {if (start && NR - start > 80) print "  " NR - start, f ": " name; start = 0}' "$f"
done | sort -rn
[ $bad -eq 0 ] && echo 'lint: clean'
exit $bad
