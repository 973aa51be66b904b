#!/bin/sh
# usage: verifyFirewall.sh FILES DEBIAN. Applies a VM's firewall in a network namespace, with a neighbour that plays the
# metadata service and two hosts of the world, and looks at who gets where. Ends with 77 where this machine does not let it.
set -eu
if [ "${1:-}" != inside ]; then
  unshare --net --mount true 2>/dev/null || { echo 'no right to make a network namespace'; exit 77; }
  for tool in ip nsenter python3; do
    command -v $tool >/dev/null || { echo "no $tool command"; exit 77; }
  done
  try() {
    shown=$(FILES=$1 DEBIAN=$2 unshare --net --mount sh "$0" inside "$3" "$4" 2>&1) || shown="$shown: the firewall did not start"
    case $shown in
      *"$5") echo "$3${4:+ with a list}: ${shown##*: }" ;;
      *) echo "$3: expected: $5, found: $shown"; exit 1 ;;
    esac
  }
  away='metadata root=open others=away'
  try "$1" "$2" nft '' "$away, by IPv6 root=open others=away, listed root=open others=open, unlisted root=open others=open"
  try "$1" "$2" no-ipv6 '' "$away, by IPv6 root=away others=away, listed root=open others=open, unlisted root=open others=open"
  try "$1" "$2" iptables '' "$away, by IPv6 root=open others=away, listed root=open others=open, unlisted root=open others=open"
  try "$1" "$2" neither '' "$away, by IPv6 root=open others=away, listed root=open others=open, unlisted root=open others=open"
  list=192.0.2.1/32:80,443
  try "$1" "$2" nft $list "$away, by IPv6 root=open others=away, listed root=open others=open, unlisted root=open others=away"
  try "$1" "$2" no-ipv6 $list "$away, by IPv6 root=away others=away, listed root=open others=open, unlisted root=open others=away"
  try "$1" "$2" iptables $list "$away, by IPv6 root=open others=away, listed root=open others=open, unlisted root=open others=away"
  try "$1" "$2" neither $list 'an egress allow-list needs nft or iptables in the image: the firewall did not start'
  exit 0
fi

case=$2
list=$3
other=$(id -u nobody)
ip link set lo up

# The neighbour, in a namespace of its own.
unshare --net sleep 60 &
neighbour=$!
serve() { nsenter --net=/proc/$neighbour/ns/net "$@"; }
trap 'kill $neighbour $server 2>/dev/null || true' EXIT
server=''
sleep 0.3
ip link add here type veth peer name there netns $neighbour
ip link set here up
ip addr add 192.0.2.9/24 dev here
serve ip link set there up
for address in 192.0.2.1/24 192.0.2.2/24 169.254.169.254/32; do serve ip addr add $address dev there; done
ip route add 169.254.169.254/32 dev here
if [ "$case" = no-ipv6 ]; then
  sysctl -qw net.ipv6.conf.all.disable_ipv6=1
else
  ip -6 addr add fd00:ec2::9/64 dev here nodad
  serve ip -6 addr add fd00:ec2::254/64 dev there nodad
fi
serve python3 -m http.server --bind :: 80 >/dev/null 2>&1 &
server=$!

# What an image has: the tools of this machine's own are out of sight.
mount -t tmpfs tmpfs /mnt
mkdir /mnt/bin
for tool in ip id sysctl sh python3; do ln -s "$(command -v $tool)" /mnt/bin/$tool; done
libraries=$DEBIAN/usr/lib/x86_64-linux-gnu:$DEBIAN/lib/x86_64-linux-gnu
tool() {
  printf '#!/bin/sh\nXTABLES_LIBDIR=%s LD_LIBRARY_PATH=%s exec %s "$@"\n' "$DEBIAN/usr/lib/x86_64-linux-gnu/xtables" \
    "$libraries" "$2" >"/mnt/bin/$1"
  chmod +x "/mnt/bin/$1"
}
case $case in
  nft | no-ipv6) tool nft "$DEBIAN/usr/sbin/nft" ;;
  iptables)
    tool iptables "$DEBIAN/usr/sbin/xtables-nft-multi iptables"
    tool ip6tables "$DEBIAN/usr/sbin/xtables-nft-multi ip6tables"
    ;;
esac
echo "allow='$list'" >/mnt/firewall.conf
sed -e 's|/etc/candor/firewall.conf|/mnt/firewall.conf|' -e 's|id -u candor-agent|id -u nobody|' "$FILES/firewall" >/mnt/firewall
PATH=/mnt/bin sh /mnt/firewall

python3 - "$other" <<'PY'
import os, socket, sys, time

"".encode("idna")  # Loaded while we may still read it.

def reach(uid, address):
    child = os.fork()
    if child == 0:
        os.setuid(uid)
        try:
            socket.create_connection((address, 80), timeout=1.5).close()
            os._exit(0)
        except OSError:
            os._exit(1)
    return "open" if os.waitpid(child, 0)[1] == 0 else "away"

for _ in range(50):  # Until the neighbour listens.
    if reach(0, "192.0.2.1") == "open":
        break
    time.sleep(0.1)
hosts = [("metadata", "169.254.169.254"), ("by IPv6", "fd00:ec2::254"), ("listed", "192.0.2.1"), ("unlisted", "192.0.2.2")]
shown = ["%s root=%s others=%s" % (name, reach(0, host), reach(int(sys.argv[1]), host)) for name, host in hosts]
print(": " + ", ".join(shown), end="")
PY
