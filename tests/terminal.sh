# Sourced by tests that drive the program in a real terminal (tmux): one private server per test, fixed size, locale, time
# zone, homes in a temporary folder. check NAME COMMAND... counts; finish prints the last line that tests/run.sh adds up.
set -u
BENCHTOP=${BENCHTOP:-build/benchtop}; case $BENCHTOP in /*) ;; *) BENCHTOP=$PWD/$BENCHTOP ;; esac
passed=0 failed=0 skipped=0
work=$(mktemp -d); server=benchtop-test-$$
trap 'tmux -L $server kill-server 2>/dev/null; rm -rf "$work"' EXIT
export XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache HOME=$work LC_ALL=C.UTF-8 TZ=UTC
slow=1; [ -n "${SANITIZER:-}" ] && slow=5 # sanitizer builds get more patience, not weaker checks

check() { # name, command...
    local name=$1; shift
    if "$@" >"$work/check" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED $name"; sed 's/^/  /' "$work/check" | head -50
    fi
}
finish() { echo "$passed passed, $failed failed, $skipped skipped"; [ "$failed" -eq 0 ]; }
need_tmux() { command -v tmux >/dev/null || { echo 'skipped: tmux is not here'; echo '0 passed, 0 failed, 1 skipped'; exit 0; }; }

tm() { tmux -L "$server" -f /dev/null "$@"; }
# start COLUMNS ROWS COMMAND: a shell stays behind the program, so that what it leaves on the terminal can be read
start() {
    tm kill-server 2>/dev/null
    # A server of its own: the old one may still be on its way out and take the new session with it.
    starts=$((${starts:-0} + 1)) server=benchtop-test-$$-$starts
    for _ in $(seq 20); do
        tm new-session -d -x "$1" -y "$2" "PS1='\$ ' TERM=${TERM_INSIDE:-screen-256color} bash --norc --noprofile" 2>/dev/null && tm has-session 2>/dev/null && break
        sleep 0.1
    done
    tm set-option -g status off >/dev/null
    tm resize-window -x "$1" -y "$2" 2>/dev/null
    tm send-keys "clear; $3; echo exit=\$?" Enter
}
shot() { tm capture-pane -p; }
keys() { tm send-keys "$@"; }
# waits until the screen shows a pattern (seconds x slow)
shows() { local n=$((${2:-8} * slow * 10)); for _ in $(seq "$n"); do shot | grep -qE -- "$1" && return 0; sleep 0.1; done; echo "the screen never showed: $1"; shot; return 1; }
lacks() { ! shot | grep -qE -- "$1" || { echo "the screen shows: $1"; shot; return 1; }; }
program_pid() { pgrep -n -x benchtop -s "$(ps -o sess= -p "$(tm list-panes -F '#{pane_pid}')" | tr -d ' ')" 2>/dev/null; }
