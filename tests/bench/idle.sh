#!/usr/bin/env bash
# Resident memory of the program on its Setup screen, no model loaded. Goal: 30 MB.
set -u
s=benchtop-idle-$$
tmux -L $s -f /dev/null new-session -d -x 160 -y 45 "exec $BENCHTOP" || { echo 'idle: tmux could not start'; exit 1; }
sleep 2
pid=$(tmux -L $s list-panes -F '#{pane_pid}')
awk '/VmRSS/ {printf "resident on the Setup screen   %8.1f MB (goal 30)\n", $2 / 1000}' "/proc/$pid/status"
tmux -L $s kill-server
