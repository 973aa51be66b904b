#!/bin/sh
# Turns a machine that has just booted into a VM of Candor, or off. Nothing here comes from a package manager.
set -eu
bin=/opt/candor/bin

end() {
  code=$?
  [ "$code" -eq 0 ] && return
  # The control plane sees the instance end, and gives the run another one.
  echo "candor: boot failed with $code, powering off" | tee /dev/console >&2 || true
  systemctl poweroff
}
trap end EXIT

systemctl daemon-reload
# First of all: whatever hangs from here on, this machine does not outlive it.
mkdir -p /run/candor
: >/run/candor/alive
systemctl enable --now candor-deadman.service

id candor-agent >/dev/null 2>&1 || useradd --system --create-home --home-dir /home/candor-agent --shell /bin/sh candor-agent
install -d -m 0711 /var/lib/candor /var/lib/candor/vm
install -d -m 0700 /var/cache/candor
"$bin/firewall"
/usr/bin/python3 "$bin/fetch.py"
systemctl start candor-runner.service
