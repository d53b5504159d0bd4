#!/usr/bin/env bash
# Does watching disturb? The same preset headless and under the interface (in tmux), twice each in ABBA order, then
# `benchtop compare` of the two sides: equivalent is the answer hoped for.
set -u
d=$(mktemp -d); trap 'rm -rf "$d"; tmux -L benchtop-$$ kill-server 2>/dev/null' EXIT
export XDG_DATA_HOME=$d/data XDG_CONFIG_HOME=$d/config
options=(quick --workload decode --arm optimized --runs "${ROUNDS:-12}")
headless() { "$BENCHTOP" run "${options[@]}" --out "$d/$1.json" --quiet >/dev/null 2>&1; }
watched() {
    export XDG_DATA_HOME=$d/$1
    tmux -L benchtop-$$ -f /dev/null new-session -d -x 160 -y 45 "exec $BENCHTOP ${options[*]}"
    sleep 1; tmux -L benchtop-$$ send-keys r
    for _ in $(seq 240); do
        sleep 1
        grep -qsE '"status": *"complete"' "$d/$1"/benchtop/sessions/*.json && break
    done
    tmux -L benchtop-$$ kill-server 2>/dev/null
    cp "$d/$1"/benchtop/sessions/*.json "$d/$1.json"
}
headless a1; watched b1; watched b2; headless a2
for i in 1 2; do "$BENCHTOP" compare "$d/a$i.json" "$d/b$i.json"; done
echo 'two headless runs against each other, for scale:'
"$BENCHTOP" compare "$d/a1.json" "$d/a2.json"
exit 0
