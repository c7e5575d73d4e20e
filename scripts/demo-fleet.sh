#!/usr/bin/env bash
# A small fleet to look at: scripted agents that behave like a runtime, on a private tmux server and in a throw-away
# home. demo-fleet.sh BIN WORK: the programs' directory, an empty directory of mode 0700. Prints nothing.
# The caller runs everything with HOME=WORK/home, MOSAIC_HOME=WORK/home/.config/mosaic, TMUX_TMPDIR=WORK.
set -euo pipefail
bin=$1 work=$2
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../testkit/scripts/demo" && pwd)
home=$work/home
mkdir -p "$home/.config/mosaic/fleet" "$home/src" "$work/bin"
ln -sf "$bin/scripted-agent" "$work/bin/claude"

roster=$home/.config/mosaic/fleet/roster.yaml
cat > "$roster" <<'YAML'
# The demonstration fleet.
version: 1
tmux:
  socket_name: mosaic-demo
defaults:
  working_directory: ~/src
agents:
YAML
member() { # name class script
  printf -- '  - name: %s\n    runtime: claude\n    class: %s\n    working_directory: ~/src/%s\n    command: %s --speed 3 --script %s\n' \
    "$1" "$2" "$1" "$work/bin/claude" "$scripts/$3.script" >> "$roster"
}
member orchestrator orchestrator working
member enhancer enhancer idle
member coder0 implementer permission
member coder1 implementer limit
member coder2 implementer crash
member reviewer reviewer question
printf -- '  - name: researcher\n    runtime: claude\n    class: researcher\n' >> "$roster"

cd "$work"
unset TMUX TMUX_PANE
fleet=$bin/fleet
"$fleet" holder start >/dev/null 2>&1
for agent in orchestrator enhancer coder0 coder1 reviewer; do "$fleet" launch "$agent" >/dev/null 2>&1; done
# This one dies and is brought back, as a service manager would: watch it come and go.
mkdir -p "$home/src/coder2"
tmux -L mosaic-demo new-session -d -s coder2 -c "$home/src/coder2" \
  "while sleep 4; do $work/bin/claude --speed 3 --script $scripts/crash.script; done"
# And somebody else's session, which nobody configured.
tmux -L mosaic-demo new-session -d -s scratch -c "$home"
