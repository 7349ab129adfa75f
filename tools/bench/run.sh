#!/bin/sh
# Times the built berthd against Debian's dockerd, pair by pair, in a network namespace of their own, with a registry for the cases about images.
# usage: sh tools/bench/run.sh [options of bench.py, such as --runs 9 --only cli-run,exec]
#        sh tools/bench/run.sh images         what bench.py has no case for: see images.py
# Needs what `npm run quickstart` installs, and python3, iptables and the docker command line; dockerd and the registry are unpacked into .cache/bench.
# $BERTHD may name another berthd, such as that of an older checkout.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD
if [ "${1:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || { echo "run this as root." >&2; exit 1; }
  for program in docker iptables python3 containerd; do command -v "$program" >/dev/null || { echo "$program is missing: apt-get install docker.io iptables python3 containerd has it." >&2; exit 1; }; done
  if [ ! -x .cache/bench/usr/sbin/dockerd ] || [ ! -x .cache/bench/usr/bin/docker-registry ]; then
    mkdir -p .cache/bench
    (cd .cache/bench && apt-get download -qq docker.io tini docker-registry 2>/dev/null && for package in *.deb; do dpkg -x "$package" .; done && rm -f ./*.deb)
  fi
  exec unshare --net --mount --propagation private sh "$0" inside "$@"
fi
shift
ip link set lo up
work=$(mktemp -d /tmp/berth-bench-XXXXXX)
PATH=$here/node_modules/.bin:$(ls -d "$here"/node_modules/node-linux-*/bin | head -n 1):$here/.cache/bench/usr/sbin:$here/.cache/bench/usr/bin:$PATH
"${BERTHD:-node_modules/.bin/berthd}" --data-root "$work/berth" --exec-root "$work/exec" --pidfile "$work/berthd.pid" --cgroup-parent /berth-bench -H "unix://$work/berth.sock" 2>"$work/berthd.log" &
berthd=$!
dockerd --data-root "$work/docker" --exec-root "$work/docker-exec" --pidfile "$work/dockerd.pid" -H "unix://$work/docker.sock" 2>"$work/dockerd.log" &
dockerd=$!
cat >"$work/registry.yml" <<END
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $work/registry } }
http: { addr: '127.0.0.1:5000' }
END
docker-registry serve "$work/registry.yml" 2>"$work/registry.log" &
registry=$!
finish() {
  kill $berthd $dockerd $registry 2>/dev/null || true
  wait $berthd $dockerd $registry 2>/dev/null || true
  if [ -n "${KEEP_LOGS:-}" ]; then mkdir -p "$KEEP_LOGS" && cp "$work"/*.log "$KEEP_LOGS"; fi
  rm -rf "$work"
}
trap finish EXIT
# until_works WHAT COMMAND…: waits for a command to succeed.
until_works() {
  what=$1
  shift
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || { echo "$what did not start:" >&2; tail -n 5 "$work/$what.log" >&2; exit 1; }
    sleep 0.1
  done
}
tar=$(node --input-type=module -e "console.log((await import('$here/e2e/src/index.ts')).busyboxTar())")
for daemon in berth docker; do
  until_works "${daemon}d" docker -H "unix://$work/$daemon.sock" version
  docker -H "unix://$work/$daemon.sock" import --change 'CMD ["sh"]' "$tar" busybox:latest >/dev/null
done
until_works registry python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/v2/')"
case "${1:-}" in images) shift; python3 tools/bench/images.py "$@" "$work/berth.sock" "$work/docker.sock"; exit ;; esac
# The builder's cases wait for a builder.
cases=cli-run,api-run,start-only,burst-20,exec,list-100,inspect,logs-write,logs-read,memory-idle,memory-per-container,pull-small-files,pull-big-files,pull-10-layers,save,cp-in-out
case " $* " in *" --only "*) set -- "$@" ;; *) set -- --only "$cases" "$@" ;; esac
# Images are built and pushed by the last daemon, which is dockerd.
python3 tools/bench/bench.py "$@" "$work/berth.sock" "$work/docker.sock"
