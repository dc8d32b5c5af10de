#!/usr/bin/env bash
# Pits `landbridge origin` against docker-registry, one core each, and prints a table in Markdown.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: bench/push.sh LANDBRIDGE LOAD DIRECTORY [ROUNDS]

  LANDBRIDGE  the program, built with --release
  LOAD        the load, built by `cargo build --release --example bench_push`
  DIRECTORY   where both registries keep what is pushed: on the disk that is to be measured, with 4 GiB free for each
              of two registries; it is made, and removed at the end
  ROUNDS      how often each server is measured, in turn (3)

Needs docker-registry (Debian's package of this name), two processors and ports 18111 and 18112 of the loopback
interface. Servers are pinned to the first processor, load to the second.

Each client pushes an image of its own, six layers at once, each by HEAD, POST, PATCH and PUT, and pulls it again. CPU
seconds are the server's own (/proc/PID/stat, user and system), memory is the highest resident size of the process while
it worked (VmHWM, reset before). A server is started anew on an empty directory for each measurement of a push; the pull
follows. The table has the medians.
HELP
}

(($# >= 3)) || { usage >&2; exit 2; }
landbridge=$(realpath "$1")
load=$(realpath "$2")
directory=$3
rounds=${4:-3}
for program in docker-registry taskset curl; do
    command -v "$program" >/dev/null || { echo "push.sh: $program is missing" >&2; exit 2; }
done
[[ ! -e $directory ]] || { echo "push.sh: $directory exists: remove it, or name another" >&2; exit 2; }
mkdir -p "$directory"
directory=$(realpath "$directory")

declare -A port=([landbridge]=18111 [docker-registry]=18112)
servers=(landbridge docker-registry)
# Name, layers, bytes of each, clients.
scenes=("large-1 20 10485760 1" "large-16 20 10485760 16" "small-1 500 4096 1" "small-16 500 4096 16")
declare -A title=(
    [large-1]="20 × 10 MiB, 1 client" [large-16]="20 × 10 MiB, 16 clients"
    [small-1]="500 × 4 KiB, 1 client" [small-16]="500 × 4 KiB, 16 clients"
)
pid=
work=$(mktemp -d)
stop() {
    [[ -z $pid ]] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; }
    pid=
}
trap 'stop; rm -rf "$work" "$directory"' EXIT

start() {
    local try
    rm -rf "$directory/store"
    mkdir -p "$directory/store"
    case $1 in
    landbridge)
        taskset -c 0 "$landbridge" origin --store "file://$directory/store" --listen "127.0.0.1:${port[$1]}" \
            >"$work/$1.log" 2>&1 &
        ;;
    docker-registry)
        cat >"$work/registry.yml" <<YAML
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $directory/store } }
http: { addr: 127.0.0.1:${port[$1]} }
YAML
        OTEL_TRACES_EXPORTER=none taskset -c 0 docker-registry serve "$work/registry.yml" >"$work/$1.log" 2>&1 &
        ;;
    esac
    pid=$!
    for ((try = 0; ; try++)); do
        curl -sf -o /dev/null "http://127.0.0.1:${port[$1]}/v2/" && return
        ((try < 100)) && kill -0 "$pid" || { cat "$work/$1.log" >&2; echo "push.sh: $1 does not answer" >&2; exit 3; }
        sleep 0.1
    done
}

# Clock ticks that the server has used.
ticks() {
    local line
    line=$(<"/proc/$pid/stat")
    set -- ${line##*) }
    echo $((${12} + ${13}))
}

# Appends wall seconds, CPU seconds and MiB to $work/MODE-SCENE-SERVER.
measure() {
    local mode=$1 server=$2 scene=$3 before wall
    read -r _ layers bytes clients <<<"$scene"
    echo 5 >"/proc/$pid/clear_refs"
    before=$(ticks)
    wall=$(taskset -c 1 "$load" "$mode" "http://127.0.0.1:${port[$server]}" "$round" "$clients" "$layers" "$bytes")
    awk -v wall="$wall" -v ticks=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" \
        -v kib="$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$pid/status")" \
        'BEGIN { printf "%.3f %.2f %.1f\n", wall, ticks / hz, kib / 1024 }' >>"$work/$mode-${scene%% *}-$server"
    echo "$server: $mode ${title[${scene%% *}]}: $(tail -n1 "$work/$mode-${scene%% *}-$server")" >&2
}

load_before=$(cut -d' ' -f1-3 /proc/loadavg)
for ((round = 1; round <= rounds; round++)); do
    for scene in "${scenes[@]}"; do
        for server in "${servers[@]}"; do
            start "$server"
            measure push "$server" "$scene"
            sync -f "$directory"
            measure pull "$server" "$scene"
            stop
        done
    done
    echo "round $round of $rounds" >&2
done

# The median of a column.
median() { cut -d' ' -f"$2" "$work/$1" | sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
cat <<HEAD
Measured $(date -u +%Y-%m-%d), $rounds rounds, server and load pinned to one core each, data on $(df --output=fstype "$directory" | tail -n1).

- Machine: $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n1), $(nproc) processors, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r), load average before $load_before
- docker-registry $(docker-registry --version | awk '{ print $3 }'), $("$landbridge" --version)
- each cell: landbridge / docker-registry, and the ratio; below 1 landbridge is ahead

| | wall s | CPU s | peak MiB |
|---|---:|---:|---:|
HEAD
for scene in "${scenes[@]}"; do
    scene=${scene%% *}
    for mode in push pull; do
        printf '| %s %s ' "$mode" "${title[$scene]}"
        for column in 1 2 3; do
            awk -v a="$(median "$mode-$scene-landbridge" $column)" -v b="$(median "$mode-$scene-docker-registry" $column)" \
                'BEGIN { printf "| %s / %s = **%.2f** ", a, b, a / b }'
        done
        echo '|'
    done
done
