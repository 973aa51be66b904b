#!/bin/sh
# Nobody gets in; only root reaches the instance's metadata and thereby its credentials; where there is a list, agents'
# processes get out only to what is on it. With nft or iptables; where an image has neither, a routing rule keeps the
# metadata to root, the security group keeps everybody out, and a list cannot be kept: then this machine does not start.
set -eu
# shellcheck source=/dev/null
. /etc/candor/firewall.conf
imds4=169.254.169.254
imds6=fd00:ec2::254
has6() { [ -e /proc/net/if_inet6 ]; }
# Better no IPv6 than an IPv6 without rules.
drop6() { sysctl -qw net.ipv6.conf.all.disable_ipv6=1; }

routes() {
  ip -4 rule add to $imds4 uidrange 1-4294967294 prohibit priority 100
  has6 || return 0
  ip -6 rule add to $imds6 uidrange 1-4294967294 prohibit priority 100 || drop6
}

nft_rules() {
  family=$1
  echo "table $family candor {"
  echo "chain input { type filter hook input priority 0; policy drop;"
  echo "iif lo accept; ct state established,related accept; udp sport 67 udp dport 68 accept;"
  echo "meta l4proto icmp accept;"
  [ "$family" = ip ] || echo "meta l4proto ipv6-icmp accept; udp dport 546 accept;"
  echo "}"
  echo "chain output { type filter hook output priority 0; policy accept;"
  echo "meta skuid != 0 ip daddr $imds4 reject;"
  [ "$family" = ip ] || echo "meta skuid != 0 ip6 daddr $imds6 reject;"
  [ -z "$allow" ] || echo "meta skuid $uid jump agent;"
  echo "}"
  echo "chain agent { oif lo accept; ct state established,related accept;"
  echo "udp dport 53 accept; tcp dport 53 accept;"
  for each in $allow; do echo "ip daddr ${each%:*} tcp dport { ${each##*:} } accept;"; done
  echo "reject; }"
  echo "}"
}

with_nft() {
  if has6; then
    nft_rules inet | nft -f - && return
    drop6
  fi
  nft_rules ip | nft -f -
}

# One family's rules: $1 is the command, $2 the metadata's address, $3 how ICMP is called.
tables() {
  "$1" -w -A INPUT -i lo -j ACCEPT
  "$1" -w -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
  "$1" -w -A INPUT -p "$3" -j ACCEPT
  "$1" -w -P INPUT DROP
  "$1" -w -A OUTPUT -d "$2" -m owner ! --uid-owner 0 -j REJECT
  [ -n "$allow" ] || return 0
  "$1" -w -N CANDOR
  "$1" -w -A OUTPUT -m owner --uid-owner "$uid" -j CANDOR
  "$1" -w -A CANDOR -o lo -j ACCEPT
  "$1" -w -A CANDOR -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
  "$1" -w -A CANDOR -p udp --dport 53 -j ACCEPT
  "$1" -w -A CANDOR -p tcp --dport 53 -j ACCEPT
  if [ "$1" = iptables ]; then
    for each in $allow; do
      "$1" -w -A CANDOR -d "${each%:*}" -p tcp -m multiport --dports "${each##*:}" -j ACCEPT
    done
  fi
  "$1" -w -A CANDOR -j REJECT
}

with_iptables() {
  tables iptables $imds4 icmp || return 1
  has6 || return 0
  (tables ip6tables $imds6 ipv6-icmp) || drop6
}

uid=$(id -u candor-agent)
routes
if command -v nft >/dev/null && with_nft; then
  echo 'candor: firewall by nft'
elif command -v iptables >/dev/null && with_iptables; then
  echo 'candor: firewall by iptables'
elif [ -n "$allow" ]; then
  echo 'candor: an egress allow-list needs nft or iptables in the image' >&2
  exit 1
else
  echo 'candor: neither nft nor iptables: the security group and routing rules stand alone'
fi
