#!/usr/bin/env bash
# Pits `landbridge serve` against nginx, one core each, and prints a table in Markdown.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: bench/compare.sh LANDBRIDGE SCENE [ROUNDS [SECONDS]]

  LANDBRIDGE  the program, built with --release
  SCENE       a directory that `cargo run --example bench_scene -- SCENE` wrote
  ROUNDS      how often each server is measured, in turn (5)
  SECONDS     how long each measurement takes (4)

Needs nginx, wrk and h2load (Debian: nginx-light, wrk, nghttp2-client), two processors and ports 18101 to 18104 and
18203 to 18204 of the loopback interface. Servers are pinned to the first processor, load to the second.

Requests per CPU-second are what wrk counted, over what the server's process spent (/proc/PID/stat, user and system,
threads that have ended included). Latency is h2load's, at half of the requests per second that the slowest server
reached, the same for all. A round measures each server once; the table has the medians, and the ranges.
HELP
}

(($# >= 2)) || { usage >&2; exit 2; }
landbridge=$(realpath "$1")
scene=$(realpath "$2")
rounds=${3:-5}
seconds=${4:-4}
here=$(realpath "$(dirname "$0")")
connections=64
PATH=$PATH:/usr/sbin
for program in nginx wrk h2load taskset curl; do
    command -v "$program" >/dev/null || { echo "compare.sh: $program is missing" >&2; exit 2; }
done

declare -A port=([fixed]=18101 [equal]=18102 [each]=18103 [minute]=18104)
declare -A title=(
    [fixed]="nginx, fixed 307" [equal]="nginx, equal work"
    [each]="landbridge, each record" [minute]="landbridge, records by the minute"
)
servers=(fixed equal each minute)
declare -A pid=() started=()
work=$(mktemp -d)
stop() {
    local name
    for name in "${!started[@]}"; do kill "${started[$name]}" 2>/dev/null || true; done
    wait || true
    rm -rf "$work"
    # The next run begins where this one did.
    rm -f "$scene/origin/pointers/00000000000000000002"
}
trap stop EXIT

start() {
    mkdir -p "$scene/temp"
    rm -rf "$scene"/records-* "$scene"/nginx-*.log
    rm -f "$scene/origin/pointers/00000000000000000002"
    local name
    for name in fixed equal; do
        taskset -c 0 nginx -e "$scene/nginx-$name.error" -c "$scene/nginx-$name.conf" 2>>"$work/$name.log" &
        started[$name]=$!
    done
    for name in each minute; do
        taskset -c 0 "$landbridge" serve --config "$scene/landbridge-$name.yaml" >"$work/$name.log" 2>&1 &
        started[$name]=$!
    done
    local first request address
    read -r request address <"$scene/requests.txt"
    for name in "${servers[@]}"; do
        for ((first = 0; ; first++)); do
            [[ $(answer "$name" "$request" "$address") == 307* ]] && break
            ((first < 300)) && kill -0 "${started[$name]}" || { cat "$work/$name.log" >&2; echo "compare.sh: ${title[$name]} does not answer with 307" >&2; exit 3; }
            sleep 0.2
        done
        pid[$name]=${started[$name]}
    done
    # The one worker does nginx's work.
    for name in fixed equal; do pid[$name]=$(pgrep -P "${started[$name]}"); done
    # The same question must lead to the same copy where it is not a matter of shares.
    local ours theirs same=0 asked=0
    while read -r request address; do
        ours=$(answer each "$request" "$address") theirs=$(answer equal "$request" "$address")
        asked=$((asked + 1))
        [[ $ours == "$theirs" ]] && same=$((same + 1))
    done < <(head -n 200 "$scene/requests.txt")
    echo "of $asked requests landbridge and nginx send $same to the same copy; the others are shared out by other hashes" >&2
    ((same * 4 > asked)) || { echo "compare.sh: the two do not do the same" >&2; exit 3; }
}

answer() {
    curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H "X-Forwarded-For: $3" "http://127.0.0.1:${port[$1]}$2" || true
}

# Clock ticks that a process has used.
ticks() {
    local line
    line=$(<"/proc/${pid[$1]}/stat")
    set -- ${line##*) }
    echo $((${12} + ${13}))
}

memory() { awk -v field="$2:" '$1 == field { printf "%.1f\n", $2 / 1024 }' "/proc/${pid[$1]}/status"; }

# Appends requests per CPU-second to $work/NAME.rate, requests per second to $work/NAME.reached.
saturate() {
    local name=$1 before after requests errors
    before=$(ticks "$name")
    read -r _ requests errors < <(taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" -s "$here/requests.lua" \
        "http://127.0.0.1:${port[$name]}" -- "$scene/requests.txt" | grep ^RESULT)
    after=$(ticks "$name")
    ((errors == 0)) || { echo "compare.sh: ${title[$name]}: $errors errors" >&2; exit 3; }
    awk -v r="$requests" -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN { print r * hz / t }' >>"$work/$name.rate"
    echo $((requests / seconds)) >>"$work/$name.reached"
}

# Appends the median and the 99th percentile, in microseconds, at $2 requests a second.
pace() {
    local name=$1 rate=$2 clients=16
    rm -f "$work/pace"
    taskset -c 1 h2load --h1 -t1 -c"$clients" --rps=$((rate / clients)) -D"$seconds" -i "$work/urls-$name" \
        -H "x-forwarded-for: $address" -H 'user-agent: containerd/1.7.20' \
        --log-file="$work/pace" >/dev/null
    cut -f3 "$work/pace" | sort -n | awk '{ t[NR] = $1 } END { print t[int(NR * .5) + 1], t[int(NR * .99) + 1] }' >>"$work/$name.latency"
}

# Median, lowest and highest of a column of numbers.
median() { sort -n | awk -v form="$1" '{ v[NR] = $1 } END { m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2; printf form "\n", m, v[1], v[NR] }'; }

start
for name in "${servers[@]}"; do
    sed "s#^\(\S*\) .*#http://127.0.0.1:${port[$name]}\1#" "$scene/requests.txt" >"$work/urls-$name"
    seconds=1 saturate "$name"
    rm "$work/$name.rate" "$work/$name.reached"
done
load_before=$(cut -d' ' -f1-3 /proc/loadavg)
for ((round = 1; round <= rounds; round++)); do
    for name in "${servers[@]}"; do saturate "$name"; done
    echo "round $round of $rounds: saturated" >&2
done
half=$(($(sort -n "$work"/*.reached | head -n1) / 2))
read -r _ address < <(sed -n 2p "$scene/requests.txt")
for ((round = 1; round <= rounds; round++)); do
    for name in "${servers[@]}"; do pace "$name" "$half"; done
    echo "round $round of $rounds: at $half requests a second" >&2
done

# Fills the manifest cache: every manifest whose bytes are there, once.
warm() {
    sed "s#^#http://127.0.0.1:${port[$1]}#" "$scene/manifests.txt" >"$work/manifests"
    taskset -c 1 h2load --h1 -t1 -c8 -n"$(wc -l <"$work/manifests")" -i "$work/manifests" | grep '^status' >&2
}
declare -A steady=() swap=() after=()
for name in each minute; do
    warm "$name"
    steady[$name]=$(memory "$name" VmRSS)
    echo 5 >"/proc/${pid[$name]}/clear_refs"
done
mkdir -p "$scene/origin/pointers"
cp "$scene/next-pointer" "$scene/origin/pointers/.next"
mv "$scene/origin/pointers/.next" "$scene/origin/pointers/00000000000000000002"
for name in each minute; do
    for ((try = 0; ; try++)); do
        sequence=$(curl -s "http://127.0.0.1:$((${port[$name]} + 100))/metrics" | awk '/^landbridge_pointer_sequence/ { print $2 }')
        [[ $sequence == 2* ]] && break
        ((try < 150)) || { echo "compare.sh: ${title[$name]} did not take the next generation" >&2; exit 3; }
        sleep 0.2
    done
    swap[$name]=$(memory "$name" VmHWM)
    after[$name]=$(memory "$name" VmRSS)
done

rate() { median '%.0f' <"$work/$1.rate"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
p99() { cut -d' ' -f2 "$work/$1.latency" | median '%.0f'; }
cat <<HEAD
Measured $(date -u +%Y-%m-%d), $rounds rounds of $seconds s each, $connections connections, servers and load pinned to one core each.

- Machine: $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n1), $(nproc) processors, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r), load average before $load_before
- $(nginx -v 2>&1 | sed 's/.*: //'), $("$landbridge" --version)
- 500,000 objects, 100,000 of them manifests, in 500 repositories on 24 mirrors; 20,000 prefixes; $(wc -l <"$scene/requests.txt") different requests
- p50 and p99 at $half requests a second, in microseconds

| server | requests per CPU-second | range | of fixed | of equal | p50 | p99 | p99 of fixed | p99 of equal |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
HEAD
for name in "${servers[@]}"; do
    printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "${title[$name]}" "$(rate "$name")" \
        "$(median '%.0f %.0f %.0f' <"$work/$name.rate" | cut -d' ' -f2- | tr ' ' -)" \
        "$(ratio "$(rate "$name")" "$(rate fixed)")" "$(ratio "$(rate "$name")" "$(rate equal)")" \
        "$(cut -d' ' -f1 "$work/$name.latency" | median '%.0f')" "$(p99 "$name")" \
        "$(ratio "$(p99 "$name")" "$(p99 fixed)")" "$(ratio "$(p99 "$name")" "$(p99 equal)")"
done
printf '\n| memory, MiB | steady | highest during a swap | after it |\n|---|---:|---:|---:|\n'
for name in each minute; do
    printf '| %s | %s | %s | %s |\n' "${title[$name]}" "${steady[$name]}" "${swap[$name]}" "${after[$name]}"
done
