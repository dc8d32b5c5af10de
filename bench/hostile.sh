#!/usr/bin/env bash
# How long honest clients wait while others attack, and what that costs; prints a table in Markdown.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: bench/hostile.sh LANDBRIDGE HOSTILE DIRECTORY [SECONDS [ATTACK...]]

  LANDBRIDGE  the program, built with --release
  HOSTILE     the example `hostile`, built with --release
  DIRECTORY   a directory that does not exist yet, for the front's data
  SECONDS     how long each attack lasts (8)
  ATTACK      slow-heads slow-reads rapid-reset continuation idle networks forged (all)

Needs two processors, curl, and port 18110 to 18111 of the loopback interface. The front answers with one thread on the
first processor. On the second one the attacker holds itself to half of it, kernel time included, and an honest client
asks 500 times a second for a manifest and for a blob in turn, with a new connection for every twentieth request; it
goes before the attacker (in real time, which needs root), so that what is measured is the front. An attack is compared
with the quiet just before it, and what holds connections open is measured once it has made them.
HELP
}

(($# >= 3)) || { usage >&2; exit 2; }
landbridge=$(realpath "$1")
hostile=$(realpath "$2")
data=$3
seconds=${4:-8}
attacks=("${@:5}")
((${#attacks[@]})) || attacks=(slow-heads slow-reads rapid-reset continuation idle networks forged)
[[ ! -e $data ]] || { echo "hostile.sh: $data is there already" >&2; exit 2; }
address=127.0.0.1:18110
admin=127.0.0.1:18111
work=$(mktemp -d)
pid=
stop() {
    [[ -z $pid ]] || kill "$pid" 2>/dev/null || true
    wait || true
    rm -rf "$work"
}
trap stop EXIT

export LANDBRIDGE_LISTEN_THREADS=1
export LANDBRIDGE_LIMITS_MODE=enforce LANDBRIDGE_LIMITS_NETWORK_REQUESTS_RATE=1000/s LANDBRIDGE_LIMITS_NETWORK_REQUESTS_BURST=100000
taskset -c 0 "$landbridge" serve --data "$data" --listen "$address" --admin "$admin" --origin-listen 127.0.0.1:0 >"$work/log" 2>&1 &
pid=$!
for ((tries = 0; ; tries++)); do
    curl -sf -o "$work/manifest" "http://$address/v2/landbridge/manifests/latest" && break
    ((tries < 300)) && kill -0 "$pid" || { cat "$work/log" >&2; echo "hostile.sh: the front does not answer" >&2; exit 3; }
    sleep 0.1
done
manifest=/v2/landbridge/manifests/latest
layer=$(grep -o 'sha256:[0-9a-f]*' "$work/manifest" | tail -n1)
blob=/v2/landbridge/blobs/$layer
large=$(curl -s -o /dev/null -w '%{redirect_url}' "http://$address$blob")
large=${large#http://"$address"}

# answers p50 p99 refused
honest() { chrt --fifo 10 taskset -c 1 "$hostile" honest "$address" 500 "$1" 192.0.2.7 "$manifest" 200 "$blob" 307; }
ticks() { local line; line=$(<"/proc/$pid/stat"); set -- ${line##*) }; echo $((${12} + ${13})); }
memory() { awk '$1 == "VmRSS:" { printf "%.0f", $2 / 1024 }' "/proc/$pid/status"; }

declare -A connections=([slow-heads]=4000 [slow-reads]=1000 [rapid-reset]=50 [continuation]=50 [idle]=16000 [networks]=20 [forged]=20)
declare -A settled=([slow-heads]=3 [idle]=6)
declare -A target=([slow-reads]=$large [rapid-reset]=$manifest [networks]=$manifest [forged]=$manifest)
honest 2 >/dev/null
echo "- a front with $(memory) MiB, nobody connected"
echo
echo "| attack | connections | sent | honest: answers | refused | p50 µs | p99 µs | quiet p99 µs | ratio | front: MiB | processor |"
echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
for attack in "${attacks[@]}"; do
    read -r _ _ quiet _ < <(honest 4)
    # shellcheck disable=SC2086 # an attack without a target has none
    taskset -c 1 "$hostile" attack "$attack" "$address" "${connections[$attack]}" $((seconds + 1 + ${settled[$attack]:-1})) 0.5 ${target[$attack]:-} >"$work/tally" &
    attacker=$!
    # Those that hold connections have to make them first.
    sleep "${settled[$attack]:-1}"
    before=$(ticks)
    read -r answers median p99 refused < <(honest "$seconds")
    used=$(($(ticks) - before)) mib=$(memory)
    wait "$attacker"
    made=$(grep -o 'connections: [0-9]*' "$work/tally" | grep -o '[0-9]*') sent=$(grep -o ' sent: [0-9]*' "$work/tally" | grep -o '[0-9]*')
    awk -v a="$attack" -v c="$made" -v s="$sent" -v n="$answers" -v r="$refused" -v m="$median" -v p="$p99" -v q="$quiet" -v mib="$mib" -v u="$used" -v t="$seconds" -v hz="$(getconf CLK_TCK)" \
        'BEGIN { printf "| %s | %d | %d | %d | %d | %d | %d | %d | %.2f | %d | %.0f %% |\n", a, c, s, n, r, m, p, q, p / q, mib, 100 * u / hz / t }'
done
