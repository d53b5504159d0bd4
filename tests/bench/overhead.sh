#!/usr/bin/env bash
# Does watching disturb? The same preset headless and under the interface (in tmux), run in alternating pairs so that the
# machine's drift falls on both; the ratio of mean latencies is told with its 95 % t interval over the pairs.
set -u
pairs=${PAIRS:-10}
d=$(mktemp -d); trap 'rm -rf "$d"; tmux -L benchtop-$$ kill-server 2>/dev/null' EXIT
export XDG_DATA_HOME=$d/data XDG_CONFIG_HOME=$d/config
options=(quick --workload decode --arm optimized --runs "${ROUNDS:-10}")
headless() { "$BENCHTOP" run "${options[@]}" --out "$d/$1.json" --quiet >/dev/null 2>&1; }
watched() {
    tmux -L "benchtop-$$-$1" -f /dev/null new-session -d -x 160 -y 45 "exec $BENCHTOP ${options[*]} --start --out $d/$1.json"
    for _ in $(seq 600); do
        sleep 0.2
        grep -qsE '"status": *"complete"' "$d/$1.json" && break
    done
    tmux -L "benchtop-$$-$1" kill-server 2>/dev/null
}
mean() { "$BENCHTOP" export "$d/$1.json" --to csv | awk -F, 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "mean_ms") c = i} NR == 2 {print $c}'; }
headless warm
for i in $(seq "$pairs"); do
    if [ $((i % 2)) -eq 1 ]; then headless h; watched "w$i"; else watched "w$i"; headless h; fi
    echo "$(mean "w$i") $(mean h)"
done | awk '
    {x = log($1 / $2); s += x; q += x * x; n++; printf "  pair %2d  interface %.2f ms  headless %.2f ms  ratio %.3f\n", n, $1, $2, exp(x)}
    END {
        split("12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262 2.228 2.201 2.179 2.160 2.145 2.131 2.120 2.110 2.101 2.093", t, " ")
        if (n < 2 || n > 20) {print "overhead: needs 2 to 20 pairs"; exit 1}
        m = s / n; h = t[n - 1] * sqrt((q - n * m * m) / (n - 1) / n)
        printf "interface / headless: %.3f, 95 %% CI %.3f-%.3f over %d pairs\n", exp(m), exp(m - h), exp(m + h), n
    }'
