#!/bin/sh
# usage: verifyFirewall.sh FILES DEBIAN. Applies a VM's firewall in network namespaces and looks at what it does. Ends with
# 77 where this machine does not let it make one.
set -eu
files=$1
debian=$2
unshare --net --mount true 2>/dev/null || { echo 'no right to make a network namespace'; exit 77; }
command -v ip >/dev/null || { echo 'no ip command'; exit 77; }

case_in_namespace() {
  # shellcheck disable=SC2016
  FILES=$files DEBIAN=$debian CASE=$1 ALLOW=$2 unshare --net --mount sh -c '
    set -eu
    ip link set lo up
    ip addr add 169.254.169.254/32 dev lo
    [ "$CASE" = no-ipv6 ] && sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    [ "$CASE" = no-ipv6 ] || ip -6 addr add fd00:ec2::254/128 dev lo
    mount -t tmpfs tmpfs /mnt
    mkdir -p /mnt/bin
    printf "allow=%s\n" "\"$ALLOW\"" >/mnt/firewall.conf
    # Another user than root, under whatever name this machine has one.
    sed -e "s|/etc/candor/firewall.conf|/mnt/firewall.conf|" -e "s|id -u candor-agent|id -u nobody|" "$FILES/firewall" >/mnt/firewall
    lib=$DEBIAN/usr/lib/$(uname -m)-linux-gnu
    if [ "$CASE" != no-nft ] && [ -x "$DEBIAN/usr/sbin/nft" ]; then
      printf "#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s \"\$@\"\n" "$lib:$DEBIAN/lib/$(uname -m)-linux-gnu" "$DEBIAN/usr/sbin/nft" >/mnt/bin/nft
      chmod +x /mnt/bin/nft
    fi
    PATH=/mnt/bin:$PATH sh /mnt/firewall || exit 10
    # Whoever gets through finds somebody there.
    python3 -m http.server --bind 169.254.169.254 80 >/dev/null 2>&1 &
    server=$!
    trap "kill $server" EXIT
    sleep 1
    reach() {
      python3 - "$1" "$2" <<PY
import os, socket, sys
os.setuid(int(sys.argv[1]))
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
sock = socket.socket(family, socket.SOCK_STREAM)
sock.settimeout(2)
try:
    sock.connect((sys.argv[2], 80))
    print("open")
except OSError as error:
    print("kept away")
PY
    }
    echo "$CASE: root $(reach 0 169.254.169.254), others $(reach "$(id -u nobody)" 169.254.169.254)"
  '
}

expect() {
  shown=$(case_in_namespace "$1" "$2") || { echo "$1: the firewall did not start: $shown"; exit 1; }
  echo "$shown"
  case $shown in
    *'root open, others kept away'*) ;;
    *) exit 1 ;;
  esac
}

expect all ''
expect no-ipv6 ''
expect no-nft ''
if case_in_namespace no-nft '10.0.0.0/8:443' >/dev/null 2>&1; then
  command -v iptables >/dev/null || { echo 'an allow-list that cannot be kept was let pass'; exit 1; }
fi
echo 'an allow-list without nft and iptables: refused'
