#!/bin/sh
# Brings a Debian machine with root, Node and npm to where Berth builds, then runs `quickstart` or `test`.
set -eu
cd "$(dirname "$0")/../.."
task=$1
shift

die() {
  echo "berth: $1" >&2
  exit 1
}

# --- what the machine must have itself ---------------------------------------------------------------------------------------------------
[ "$(uname -s)" = Linux ] || die "this is $(uname -s), and containers need Linux."
[ "$(id -u)" = 0 ] || die "containers need root: run this command as root (for example with sudo)."
grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || die "this kernel has no overlay file system, which holds the layers of images."
grep -qsw memory /sys/fs/cgroup/cgroup.controllers || [ -e /sys/fs/cgroup/memory/cgroup.procs ] ||
  die "there are no control groups for memory under /sys/fs/cgroup, without which containers cannot be confined."
command -v node >/dev/null && command -v npm >/dev/null || die "Node 20 or newer and npm are needed to begin."

# --- Debian packages ---------------------------------------------------------------------------------------------------------------------
missing=
need() { # need PATH PACKAGE WHY
  [ -e "$1" ] && return
  echo "installing Debian's $2: $3"
  missing="$missing $2"
}
need /usr/bin/containerd-shim-runc-v2 containerd "its shim keeps a container running when the daemon ends"
need /usr/sbin/runc runc "it starts the processes of containers"
need /usr/bin/crun crun "it runs 'exec' in a third of the time"
need /usr/sbin/nft nftables "its library makes published ports and keeps networks apart"
need "/usr/lib/$(uname -m)-linux-gnu/libisal.so.2" libisal2 "it inflates layers three times as fast as zlib"
need /usr/bin/tini-static tini "the init process of 'run --init'"
need /usr/bin/ps procps "'top' shows the processes of a container"
need /bin/busybox busybox-static "the content of the image that is tried"
if [ "$task" = test ]; then
  need /usr/sbin/ip iproute2 "it lays out the networks of the tests"
  need /usr/bin/openssl openssl "certificates of the registries in tests"
  need /usr/bin/skopeo skopeo "a registry client by others, to test our registry with"
  need /usr/bin/htpasswd apache2-utils "passwords of our registry's users, as others write them"
  need /lib/systemd/systemd-journald systemd "its journald, which the tests of the journald driver start on their own"
  need /usr/bin/umoci umoci "it unpacks and changes the layouts and archives that we write"
fi
apt_update() {
  [ -n "${updated:-}" ] || apt-get update -qq >/dev/null || die "apt-get update failed; the packages above cannot be installed."
  updated=1
}
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || die "these are missing, and there is no apt-get to install them:$missing."
  apt_update
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null || die "apt-get could not install:$missing."
fi

# Programs that only the tests use are unpacked here rather than installed, as their packages would start services.
tools=$PWD/.cache/debian
borrow() { # borrow COMMAND PACKAGES WHY
  [ -x "$tools/usr/bin/$1" ] || [ -x "$tools/usr/sbin/$1" ] || command -v "$1" >/dev/null && return
  echo "unpacking Debian's $2 into .cache/debian: $3"
  apt_update
  mkdir -p "$tools"
  for package in $2; do
    (cd "$tools" && apt-get download -qq -o APT::Sandbox::User=root "$package" >/dev/null && dpkg -x "$package"_*.deb . && rm -f "$package"_*.deb) || die "could not download Debian's $package."
  done
}
if [ "$task" = test ]; then
  borrow docker docker.io "the docker command line, to test our daemon with"
  borrow dockerd docker.io "a daemon by others, to load what we save and the reverse"
  borrow docker-registry docker-registry "a registry by others, to test pulls with"
  borrow rsyslogd "libestr0 libfastjson4 rsyslog-gnutls rsyslog" "a receiver by others, to test the syslog driver with"
  PATH=$PATH:$tools/usr/bin
  # Everything in the tests has its own roots and namespaces; nothing of the user's docker settings may leak in.
  unset DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG BERTH_HOST
fi

# --- npm dependencies --------------------------------------------------------------------------------------------------------------------
lock=$(sha256sum package-lock.json package.json | sha256sum | cut -d' ' -f1)
if [ "$(cat node_modules/.berth-lock 2>/dev/null)" != "$lock" ]; then
  echo "installing the npm dependencies"
  npm ci --no-audit --no-fund --loglevel=error
  echo "$lock" >node_modules/.berth-lock
fi
node=$(ls -d "$PWD"/node_modules/node-linux-*/bin | head -n 1)
[ -x "$node/node" ] || die "npm did not bring a Node for $(uname -m); Berth supports x64 and arm64."
PATH=$PWD/node_modules/.bin:$node:$PATH
export PATH NX_DAEMON=false NX_TUI=false CI="${CI:-true}"

# --- build and go ------------------------------------------------------------------------------------------------------------------------
mkdir -p .cache
if ! npm run --silent build >.cache/build.log 2>&1; then
  cat .cache/build.log >&2
  die "the build failed."
fi
case $task in
quickstart) exec node tools/quickstart/src/main.ts "$@" ;;
test) exec node tools/gate/src/main.ts "$@" ;;
*) die "unknown task $task" ;;
esac
