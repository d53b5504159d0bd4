#!/usr/bin/env bash
# make install into a folder, and the folder of make dist moved elsewhere: both must find their catalog and run.
. tests/terminal.sh
[ -n "${SANITIZER:-}" ] && { echo 'skipped: installed from the plain build'; echo '0 passed, 0 failed, 1 skipped'; exit 0; }
root=$work/root
check 'make install works without a network or root' make -s install DESTDIR="$root" PREFIX=/usr
check 'the installed binary finds its catalog' bash -c "cd / && '$root/usr/bin/benchtop' list presets | grep -q quick"
carries() { (cd / && "$1" list vocabularies && "$1" list texts) | grep -cE '^(gpt-2|shakespeare-gpt-2|tinyshakespeare) '; }
check 'and its vocabularies and texts' test "$(carries "$root/usr/bin/benchtop")" = 3
check 'the man page is a man page' bash -c "head -1 '$root/usr/share/man/man1/benchtop.1' | grep -q '^\.TH'"
check 'the completion is shell' bash -n "$root/usr/share/bash-completion/completions/benchtop"
check 'make dist works' make -s dist
mv "$(dirname "$BENCHTOP")"/dist/benchtop-* "$work/elsewhere" 2>/dev/null
check 'the moved folder runs' bash -c "cd / && '$work/elsewhere/benchtop' run quick --device fake --quiet --out '$work/d.json'"
check 'and finds its vocabularies and texts' test "$(carries "$work/elsewhere/benchtop")" = 3
check 'its libraries come from beside it' bash -c "ldd '$work/elsewhere/benchtop' | grep libgsl | grep -q '$work/elsewhere/lib'"
check 'and nothing is missing' bash -c "! ldd '$work/elsewhere/benchtop' | grep 'not found'"
marked() { grep -q benchtop-emulated-device "$1"; }
check 'neither carries the stand-in for a GPU' bash -c "$(declare -f marked); ! marked '$root/usr/bin/benchtop' && ! marked '$work/elsewhere/benchtop'"
emulated=$(dirname "$BENCHTOP")/emu/benchtop
if [ -x "$emulated" ]; then
    check 'the emulated binary is marked' marked "$emulated"
    check 'and make dist refuses it' bash -c "! .ci/dist '$emulated' '$work/emulated' && [ ! -e '$work/emulated' ]"
fi
check 'the C++ library is not needed' bash -c "! ldd '$work/elsewhere/benchtop' | grep -E 'libstdc|libcudart|libcublas|libcuda'"
finish
