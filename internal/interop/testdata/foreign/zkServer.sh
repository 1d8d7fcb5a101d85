#!/bin/sh
# Stands where a foreign test suite looks for ZooKeeper's server, as java or as zkServer.sh, and runs docent instead,
# with what the suite's zoo.cfg (the last argument) and its Java properties say. DOCENT is the binary.
set -eu

for cfg in "$@"; do :; done

# key NAME prints the value of a key of zoo.cfg.
key() { sed -n "s/^$1=//p" "$cfg" | tail -n 1; }

# property NAME prints the value of a Java property, from the command line or from SERVER_JVMFLAGS.
property() { printf '%s\n' "$@" ${SERVER_JVMFLAGS:-} | sed -n "s/^-D$name=//p" | tail -n 1; }

data=$(key dataDir)
peers=$(sed -n 's/^server\.\([0-9]*\)=\([^:]*:[0-9]*\):.*/\1=\2/p' "$cfg" | paste -sd, -)
reconfig=$(key reconfigEnabled)
tick=$(key tickTime)
name='zookeeper\.DigestAuthenticationProvider\.superDigest'
super=$(property "$@")
name='zookeeper\.extendedTypesEnabled'
extended=$(property "$@")
name='readonlymode\.enabled'
readonly=$(property "$@")

set -- serve --data "$data/docent" --listen "127.0.0.1:$(key clientPort)" --4lw-whitelist "$(key 4lw.commands.whitelist)" \
	--min-session-timeout "$((2 * tick))ms" --max-session-timeout "$((20 * tick))ms"
[ ! -f "$data/myid" ] || set -- "$@" --id "$(tr -d '[:space:]' <"$data/myid")"
[ -z "$peers" ] || set -- "$@" --peers "$peers"
[ -z "$super" ] || set -- "$@" --super-digest "$super"
[ "$extended" != true ] || set -- "$@" --extended-types
[ "$reconfig" != true ] || set -- "$@" --reconfig-enabled
[ "$readonly" != true ] || set -- "$@" --read-only-mode
exec "$DOCENT" "$@"
