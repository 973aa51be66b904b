#!/bin/sh
# Powers the machine off when nobody has renewed its lease: usage deadman FILE SECONDS [LOOK_SECONDS]. The runner touches
# FILE whenever the control plane answers it. Counts on the clock since boot, which no step of the wall clock moves.
set -u
file=$1
limit=$2
look=${3:-15}
uptime_seconds() { cut -d. -f1 /proc/uptime; }
seen=none
renewed=$(uptime_seconds)
while :; do
  mark=$(stat -c %y "$file" 2>/dev/null || echo none)
  now=$(uptime_seconds)
  if [ "$mark" != "$seen" ]; then
    seen=$mark
    renewed=$now
  fi
  if [ $((now - renewed)) -ge "$limit" ]; then
    echo "candor: no lease for $((now - renewed)) s, powering off"
    systemctl poweroff || true
    sleep 60
    # What hangs in an orderly end hangs for ever.
    systemctl poweroff --force --force
  fi
  sleep "$look"
done
