#!/usr/bin/env bash
# The program in a real terminal: sizes, keys, runs on the fake device, and the terminal given back whatever happens.
. tests/terminal.sh
need_tmux
fake="$BENCHTOP quick --device fake --realtime"

# --- it comes up, shows every screen, and leaves the shell as it was
for size in '80 24' '100 30' '160 45' '40 10'; do
    set -- $size
    start "$1" "$2" "$fake"
    check "Setup comes up at $1x$2" shows 'Setup'
    check "the help key is always shown at $1x$2" shows '\? help'
    for v in 2 3 4 5 1; do keys $v; sleep 0.2; check "screen $v at $1x$2 still shows the help key" shows '\? help'; done
    keys '?'; check "help opens at $1x$2" shows '[Qq]uit'
    keys Escape; sleep 0.2
    keys q; check "q leaves at $1x$2" shows 'exit=0'
done

# --- a run from the keyboard, to its end
start 100 30 "$fake"
check 'Setup before a run' shows 'Setup'
keys r
check 'the run is shown' shows 'Live|round|baseline' 10
check 'the run ends' shows ' complete' 60
keys 4; check 'Results show the models' shows 'gpt2-124m'
keys 5; check 'Sessions list the run' shows 'quick'
keys q; check 'after q the table stays on the terminal' shows 'baseline'
check 'and the exit is clean' shows 'exit=0'
check 'the session was saved' bash -c "ls $work/data/benchtop/sessions/*.json"

# --- the terminal is given back
given_back() { shows 'exit=' && keys 'stty -a | tr " " "\n" | grep -xE "echo|icanon" | tr "\n" "+"; echo' Enter && shows 'icanon' && shows 'echo\+'; }
for signal in INT TERM HUP QUIT SEGV ABRT BUS FPE; do
    start 80 24 "$fake"
    shows 'Setup' >/dev/null
    pid=$(pgrep -n -f "^$BENCHTOP quick" || true)
    kill -$signal "$pid" 2>/dev/null
    check "the terminal is given back after SIG$signal" given_back
    check "no alternate screen left after SIG$signal" bash -c "[ \"\$(tmux -L $server display -p '#{alternate_on}')\" = 0 ]"
done
start 80 24 "$fake"; shows 'Setup' >/dev/null; keys r; sleep 1; keys C-c
check 'Ctrl-C during a run gives the terminal back' given_back
check 'Ctrl-C saved the session' bash -c "ls $work/data/benchtop/sessions/*.json"

# --- suspend and come back
start 80 24 "$fake"; shows 'Setup' >/dev/null; keys C-z
check 'Ctrl-Z gives the terminal back' shows 'Stopped'
keys 'fg' Enter; check 'fg brings the screen back' shows '\? help'
keys q; shows 'exit=' >/dev/null

# --- resize storm, down to nothing and up again
start 100 30 "$fake"; shows 'Setup' >/dev/null; keys r
for i in $(seq 40); do tm resize-window -x $((20 + RANDOM % 280)) -y $((5 + RANDOM % 90)); done
tm resize-window -x 20 -y 5; sleep 0.3; tm resize-window -x 100 -y 30
check 'alive and whole after a resize storm' shows '\? help'
keys s; sleep 0.5; keys q; check 'and leaves cleanly' shows 'exit=0'

# --- other terminals
NO_COLOR=1; export NO_COLOR
start 80 24 "$fake"; check 'NO_COLOR comes up' shows 'Setup'
check 'NO_COLOR sends no color' bash -c "! tmux -L $server capture-pane -pe | grep -qE $'\e\\[(3[0-7]|38;|9[0-7]|4[0-7]|48;)'"
keys q; shows 'exit=' >/dev/null; unset NO_COLOR
TERM_INSIDE=linux start 80 24 "LC_ALL=C $fake"; check 'TERM=linux without UTF-8 comes up' shows 'Setup'
check 'and draws in ASCII' bash -c "! tmux -L $server capture-pane -p | LC_ALL=C grep -q '[^ -~]'"
keys q; shows 'exit=' >/dev/null
TERM_INSIDE=dumb start 80 24 "$fake"; check 'TERM=dumb gets a sentence' shows 'benchtop: .*terminal'
check 'and an error exit' shows 'exit=[12]'
TERM_INSIDE=nonsense start 80 24 "$fake"; check 'an unknown TERM gets a sentence' shows 'benchtop: .*terminal'

# --- the terminal goes away in the middle of a run
start 80 24 "$fake"; shows 'Setup' >/dev/null; keys r; sleep 1
pid=$(pgrep -n -f "^$BENCHTOP quick" || true)
tm kill-server
gone() { for _ in $(seq $((50 * slow))); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done; return 1; }
check 'a lost terminal ends the program' gone
check 'and the run was saved' bash -c "ls -t $work/data/benchtop/sessions/* | head -1 | xargs $BENCHTOP show"
finish
