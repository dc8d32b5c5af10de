#!/usr/bin/env bash
# Measures `landbridge replicate` beside `skopeo sync` and beside the machine's own limit, and prints a table in Markdown.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: bench/replicate.sh LANDBRIDGE LOAD LIMIT DIRECTORY [ROUNDS]

  LANDBRIDGE  the program, built with --release
  LOAD        what fills the registry, built by `cargo build --release --example bench_push`
  LIMIT       the machine's own limit, built by `cargo build --release --example bench_copy`
  DIRECTORY   where the registry and all copies keep their content: on the disk that is to be measured, with 6 GiB free;
              it is made, and removed at the end
  ROUNDS      how often each is measured (4); before that the limit and landbridge each run once uncounted

Needs docker-registry and skopeo (Debian's packages of these names), /usr/bin/time, openssl and port 18131 of the loopback
interface. With LANDBRIDGE_GARAGE, the program of garage (`scripts/stores garage`), ports 18132 to 18134 too: then two
buckets there are measured as mirrors.

From one registry into three copies, an authority and two mirrors: 64 blobs of 16 MiB, and 5,000 of 8 KiB in 50 images.
`skopeo sync` has one destination, so that for three it runs three times; what is shown is one run, and three. The limit
reads each blob once, hashes it once, writes and syncs it once for each copy, four at a time for large blobs and 32 for
small ones, and does nothing else. CPU is that of the program alone, for each GiB that it read; memory is its highest
resident size. The table has the medians.
HELP
}

(($# >= 4)) || { usage >&2; exit 2; }
landbridge=$(realpath "$1")
load=$(realpath "$2")
limit=$(realpath "$3")
directory=$4
rounds=${5:-4}
for program in docker-registry skopeo openssl /usr/bin/time curl; do
    command -v "$program" >/dev/null || { echo "replicate.sh: $program is missing" >&2; exit 2; }
done
[[ ! -e $directory ]] || { echo "replicate.sh: $directory exists: remove it, or name another" >&2; exit 2; }
mkdir -p "$directory"
directory=$(realpath "$directory")

source=127.0.0.1:18131
pids=()
work=$(mktemp -d)
stop() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
}
trap 'stop; rm -rf "$work" "$directory"' EXIT

answers() {
    local try
    for ((try = 0; ; try++)); do
        curl -s -o /dev/null "$1" && return
        ((try < 100)) || { echo "replicate.sh: $1 does not answer" >&2; exit 3; }
        sleep 0.1
    done
}

cat >"$work/registry.yml" <<YAML
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $directory/registry } }
http: { addr: $source }
YAML
OTEL_TRACES_EXPORTER=none docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
pids+=($!)
answers "http://$source/v2/"
echo "filling the registry" >&2
"$load" push "http://$source" large 1 64 16777216 >/dev/null
"$load" push "http://$source" small 50 100 8192 >/dev/null

large=(bench/rlarge-0)
small=()
for ((image = 0; image < 50; image++)); do small+=("bench/rsmall-$image"); done

openssl genpkey -algorithm ed25519 -out "$work/key.pem" 2>/dev/null
openssl pkey -in "$work/key.pem" -pubout -out "$work/key.pub" 2>/dev/null
chmod 600 "$work/key.pem"

targets=(directories)
if [[ -n ${LANDBRIDGE_GARAGE:-} ]]; then
    targets+=(garage)
    key=GK0123456789abcdef01234567
    secret=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
    mkdir -p "$directory/garage"
    cat >"$work/garage.toml" <<TOML
metadata_dir = "$directory/garage/meta"
data_dir = "$directory/garage/data"
db_engine = "lmdb"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:18133"
rpc_public_addr = "127.0.0.1:18133"
rpc_secret = "$(openssl rand -hex 32)"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:18132"
[admin]
api_bind_addr = "127.0.0.1:18134"
admin_token = "bench"
TOML
    GARAGE_DEFAULT_ACCESS_KEY=$key GARAGE_DEFAULT_SECRET_KEY=$secret \
        "$LANDBRIDGE_GARAGE" --config "$work/garage.toml" server --single-node --default-access-key \
        >"$work/garage.log" 2>&1 &
    pids+=($!)
    answers http://127.0.0.1:18134/health
    export AWS_ENDPOINT=http://127.0.0.1:18132 AWS_REGION=garage AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret
fi

# What a run of ours is configured by: OUT, KIND of its mirrors, a name that is new for each run.
configure() {
    local mirrors
    case $2 in
    directories) mirrors='- { name: east, embedded: { store: ./east } }
- { name: west, embedded: { store: ./west, layout: containers-images } }' ;;
    garage)
        local bucket
        for bucket in "east-$3" "west-$3"; do
            # By the administrator's interface, since S3's own needs a signature.
            curl -sf -o /dev/null -H 'Authorization: Bearer bench' -H 'Content-Type: application/json' -d "{\"localAlias\":
                {\"accessKeyId\":\"$key\",\"alias\":\"$bucket\",\"allow\":{\"read\":true,\"write\":true,\"owner\":true}}}" \
                http://127.0.0.1:18134/v2/CreateBucket
        done
        mirrors="- { name: east, bucket: { url: \"http://127.0.0.1:18132/east-$3\", store: \"s3://east-$3\" } }
- { name: west, bucket: { url: \"http://127.0.0.1:18132/west-$3\", store: \"s3://west-$3\" } }" ;;
    esac
    cat >"$1/landbridge.yaml" <<YAML
origins:
- name: bench
  registry: { url: "http://$source", delivery: proxy }
  store: { url: ./authority, catalog: bench, keys: [$work/key.pub] }
mirrors:
$mirrors
sites: [{ name: all, hosts: ["*"], origin: bench }]
replicate: { signers: [{ key_file: $work/key.pem }] }
YAML
}

# Runs a command and appends wall seconds, CPU seconds and MiB to $work/$1.
timed() {
    local cell=$1
    shift
    /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@" >"$work/out" 2>&1 ||
        { tail -n 20 "$work/out" >&2; echo "replicate.sh: $* failed" >&2; exit 3; }
    awk '{ printf "%.3f %.3f %.1f\n", $1, $2 + $3, $4 / 1024 }' "$work/time" >>"$work/$cell"
    echo "$cell: $(tail -n1 "$work/$cell")" >&2
}

run() {
    local who=$1 scene=$2 out=$directory/out
    local -n repositories=$scene
    rm -rf "$out"
    mkdir -p "$out"
    sync -f "$directory"
    case $who in
    directories | garage)
        configure "$out" "$who" "$scene-$round"
        local named=()
        for repository in "${repositories[@]}"; do named+=(--repository "$repository"); done
        timed "$who-$scene" "$landbridge" replicate --config "$out/landbridge.yaml" "${named[@]}"
        ;;
    skopeo)
        { echo "$source:"; echo "  tls-verify: false"; echo "  images:"; } >"$work/sync.yaml"
        for repository in "${repositories[@]}"; do echo "    $repository: [latest]" >>"$work/sync.yaml"; done
        timed "skopeo-$scene" skopeo --insecure-policy sync --src yaml --dest dir --scoped "$work/sync.yaml" "$out"
        ;;
    limit)
        local threads=4
        [[ $scene == large ]] || threads=32
        timed "limit-$scene" "$limit" "$source" "$out" 3 "$threads" "${repositories[@]}"
        ;;
    esac
}

load_before=$(cut -d' ' -f1-3 /proc/loadavg)
# What is held against the limit is measured in turn with it, each as often first as second: what a run leaves behind (free
# memory above all, which a virtual machine gives back to its host after a moment and pays for to get again) must not
# always help the same one. The others follow apart; garage goes on working when it has answered.
for scene in large small; do
    for who in limit directories; do
        round=warm run "$who" "$scene"
    done
    rm -f "$work"/{limit,directories}-"$scene"
    for ((round = 1; round <= rounds; round++)); do
        pair=(directories limit)
        ((round % 2)) || pair=(limit directories)
        for who in "${pair[@]}"; do run "$who" "$scene"; done
    done
done
for who in skopeo "${targets[@]:1}"; do
    for scene in large small; do
        for ((round = 1; round <= rounds; round++)); do run "$who" "$scene"; done
    done
done

median() { cut -d' ' -f"$2" "$work/$1" | sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
row() { # cell, title, GiB, times
    awk -v title="$2" -v wall="$(median "$1" 1)" -v cpu="$(median "$1" 2)" -v mib="$(median "$1" 3)" -v gib="$3" \
        -v times="$4" -v limit="$(median "limit-${1##*-}" 1)" -v skopeo="$(median "skopeo-${1##*-}" 1)" \
        'BEGIN { wall *= times; cpu *= times
                 printf "| %s | %.2f | %.2f | %.2f | %.2f | %.1f |\n", title, wall, wall / limit, wall / skopeo, cpu / gib, mib }'
}
cat <<HEAD
Measured $(date -u +%Y-%m-%d), $rounds rounds, from a registry into an authority and two mirrors, data on $(df --output=fstype "$directory" | tail -n1).

- Machine: $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n1), $(nproc) processors, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r), load average before $load_before
- docker-registry $(docker-registry --version | awk '{ print $3 }'), $(skopeo --version), $("$landbridge" --version)

| | wall s | of the limit | of one \`skopeo sync\` | CPU s for each GiB | peak MiB |
|---|---:|---:|---:|---:|---:|
HEAD
for scene in large small; do
    gib=1
    title="64 × 16 MiB"
    [[ $scene == large ]] || { gib=0.0381; title="5,000 × 8 KiB"; }
    for who in "${targets[@]}"; do row "$who-$scene" "$title, landbridge into $who" $gib 1; done
    row "skopeo-$scene" "$title, skopeo sync, one destination" $gib 1
    row "skopeo-$scene" "$title, skopeo sync, three destinations" $gib 3
    row "limit-$scene" "$title, the limit" $gib 1
done
