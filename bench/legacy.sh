#!/usr/bin/env bash
# How many instructions a request for an old name takes beside one for the name itself; prints a table in Markdown.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: bench/legacy.sh LANDBRIDGE DIRECTORY [REQUESTS]

  LANDBRIDGE  the program, built with --release
  DIRECTORY   a directory that does not exist yet, for the front's data
  REQUESTS    how many are counted (2000)

Needs valgrind, curl and h2load (Debian: valgrind, nghttp2-client), and ports 18120 and 18121 of the loopback interface.
The front runs under callgrind, which counts the instructions of the whole process (what the system does for it is not
among them), on one connection, with one thread. `127.0.0.1` is the name, `localhost` the old one, with five phases under
way, one of them a redirect of a share of clients that does not have this one. Each is counted three times, in turn.
HELP
}

(($# >= 2)) || { usage >&2; exit 2; }
landbridge=$(realpath "$1")
data=$2
requests=${3:-2000}
for program in valgrind callgrind_control h2load curl; do
    command -v "$program" >/dev/null || { echo "legacy.sh: $program is missing" >&2; exit 2; }
done
[[ ! -e $data ]] || { echo "legacy.sh: $data is there already" >&2; exit 2; }
work=$(mktemp -d)
pid=
stop() {
    [[ -z $pid ]] || kill "$pid" 2>/dev/null || true
    wait || true
    rm -rf "$work"
}
trap stop EXIT

# It packs itself into an empty directory.
"$landbridge" serve --data "$data" --listen 127.0.0.1:18120 --admin 127.0.0.1:18121 >"$work/log" 2>&1 &
pid=$!
for ((tries = 0; ; tries++)); do
    curl -sf -o /dev/null http://127.0.0.1:18120/v2/landbridge/manifests/latest && break
    ((tries < 600)) && kill -0 "$pid" || { cat "$work/log" >&2; echo "legacy.sh: the front does not answer" >&2; exit 3; }
    sleep 0.1
done
kill "$pid"
wait "$pid"
pid=
data=$(realpath "$data")

cat >"$work/migration.yaml" <<YAML
moves:
- name: images
  successor: 127.0.0.1:18120
  guide: https://example.org/moving
  phases:
  - { phase: announce, start: 2022-11-28, message: "this name is being left: use the other one" }
  - { phase: dual, start: 2022-12-10, mode: enforce }
  - { phase: freeze, start: 2023-02-01, mode: observe }
  - { phase: redirect, start: 2023-03-01, mode: enforce, shares: [{ from: 2023-03-01, percent: 0.01 }] }
  - { phase: brownout, start: 2023-03-01, end: 2023-12-01, mode: enforce, cap_pulls: 1,
      windows: [{ start: 2023-11-01, end: 2023-11-02 }] }
  - { phase: sunset, start: 2024-01-01, mode: enforce, message: "" }
YAML
cat >"$work/landbridge.yaml" <<YAML
listen: { threads: 1 }
records: { mode: minute, directory: $work }
origins:
- { name: published, store: { url: $data/origin, catalog: landbridge-data, keys: [$data/keys/landbridge.pem.pub] } }
mirrors:
- { name: near, embedded: { store: $data/mirrors/aws-us-east-2 } }
migration: { plan: migration.yaml, rehearsal: 2023-06-01 }
sites:
- { name: new, hosts: [127.0.0.1], origin: published, default: [{ copy: near }] }
- { name: old, hosts: [localhost], origin: published, default: [{ copy: near }], legacy: { move: images, scheme: http } }
YAML
valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$work/out" "$landbridge" serve \
    --config "$work/landbridge.yaml" --listen 127.0.0.1:18120 --admin 127.0.0.1:18121 >"$work/log" 2>&1 &
pid=$!
for ((tries = 0; ; tries++)); do
    curl -sf -o "$work/manifest" http://127.0.0.1:18120/v2/landbridge/manifests/latest && break
    ((tries < 600)) && kill -0 "$pid" || { cat "$work/log" >&2; echo "legacy.sh: the front does not answer" >&2; exit 3; }
    sleep 0.1
done
layer=$(grep -o 'sha256:[0-9a-f]*' "$work/manifest" | tail -n1)

# Instructions of a request: NAME TARGET
counted() {
    local before after
    h2load --h1 -c1 -n50 "http://$1:18120$2" >/dev/null 2>&1
    callgrind_control --zero "$pid" >/dev/null 2>&1
    callgrind_control --instr=on "$pid" >/dev/null 2>&1
    h2load --h1 -c1 -n"$requests" "http://$1:18120$2" >"$work/load"
    grep -q "$requests succeeded\|$requests done" "$work/load" || { cat "$work/load" >&2; exit 3; }
    callgrind_control --dump "$pid" >/dev/null 2>&1
    callgrind_control --instr=off "$pid" >/dev/null 2>&1
    # shellcheck disable=SC2012 # of our own making
    after=$(ls -t "$work"/out* | head -n1)
    before=$(awk '$1 == "totals:" || $1 == "summary:" { print $2; exit }' "$after")
    rm -f "$after"
    echo $((before / requests))
}

echo "| request | the name | the old name | more |"
echo "|---|---:|---:|---:|"
for target in "/v2/landbridge/blobs/$layer" /v2/landbridge/manifests/latest; do
    for ((round = 0; round < 3; round++)); do
        name=$(counted 127.0.0.1 "$target")
        old=$(counted localhost "$target")
        awk -v t="${target%/*}" -v n="$name" -v o="$old" 'BEGIN { printf "| %s | %d | %d | %.1f %% |\n", t, n, o, 100 * (o / n - 1) }'
    done
done
