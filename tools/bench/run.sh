#!/bin/sh
# Times the built berthd against Debian's dockerd, pair by pair, in a network namespace of their own.
# usage: sh tools/bench/run.sh [options of bench.py, such as --runs 9 --only cli-run,exec]
# Needs what `npm run quickstart` installs, and python3, iptables and the docker command line; dockerd is unpacked into .cache/bench.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD
if [ "${1:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || { echo "run this as root." >&2; exit 1; }
  for program in docker iptables python3 containerd; do command -v "$program" >/dev/null || { echo "$program is missing: apt-get install docker.io iptables python3 containerd has it." >&2; exit 1; }; done
  if [ ! -x .cache/bench/usr/sbin/dockerd ]; then
    mkdir -p .cache/bench
    (cd .cache/bench && apt-get download -qq docker.io tini 2>/dev/null && for package in *.deb; do dpkg -x "$package" .; done && rm -f ./*.deb)
  fi
  exec unshare --net --mount --propagation private sh "$0" inside "$@"
fi
shift
ip link set lo up
work=$(mktemp -d /tmp/berth-bench-XXXXXX)
PATH=$here/node_modules/.bin:$(ls -d "$here"/node_modules/node-linux-*/bin | head -n 1):$here/.cache/bench/usr/sbin:$here/.cache/bench/usr/bin:$PATH
node_modules/.bin/berthd --data-root "$work/berth" --exec-root "$work/exec" --pidfile "$work/berthd.pid" --cgroup-parent /berth-bench -H "unix://$work/berth.sock" 2>"$work/berthd.log" &
berthd=$!
dockerd --data-root "$work/docker" --exec-root "$work/docker-exec" --pidfile "$work/dockerd.pid" -H "unix://$work/docker.sock" 2>"$work/dockerd.log" &
dockerd=$!
finish() {
  kill $berthd $dockerd 2>/dev/null || true
  wait $berthd $dockerd 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
tar=$(node --input-type=module -e "console.log((await import('$here/e2e/src/index.ts')).busyboxTar())")
for socket in berth docker; do
  tries=0
  until docker -H "unix://$work/$socket.sock" version >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || { echo "${socket}d did not start:" >&2; tail -n 5 "$work/${socket}d.log" >&2; exit 1; }
    sleep 0.1
  done
  docker -H "unix://$work/$socket.sock" import --change 'CMD ["sh"]' "$tar" busybox:latest >/dev/null
done
cases=cli-run,api-run,start-only,burst-20,exec,list-100,inspect,logs-write,logs-read,memory-idle,memory-per-container
case " $* " in *" --only "*) set -- "$@" ;; *) set -- --only "$cases" "$@" ;; esac
python3 tools/bench/bench.py "$@" "$work/berth.sock" "$work/docker.sock"
