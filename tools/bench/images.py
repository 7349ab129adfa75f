#!/usr/bin/env python3
"""Watch daemons while they pull: absolute figures, which have absolute goals.

usage: images.py [--megabytes N] SOCKET... (the last one builds and pushes the image; `sh tools/bench/run.sh images` runs it)

For each daemon: the most memory (PSS of the daemon and its children) above what it took before, during a pull of N MB (1000) in four
layers; and the slowest and the median `/_ping` over one connection during another such pull, asked every 5 ms.
"""
import argparse, statistics, threading, time
from bench import Daemon, SEEDER, UnixConnection, seed_image


def during(work, watch):
    """Calls watch() again and again, in this thread, until work has ended in another. Raises what work raised."""
    failed = []

    def run():
        try:
            work()
        except Exception as error:
            failed.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        watch()
    if failed:
        raise failed[0]


def pull_watched(d, ref, watch):
    d.docker("rmi", "-f", ref, check=False)
    start = time.perf_counter()
    during(lambda: d.docker("pull", "-q", ref), watch)
    spent = time.perf_counter() - start
    d.docker("rmi", "-f", ref)
    return spent


def memory(d, ref):
    time.sleep(2)  # what an earlier case left to be tidied
    idle = d.pss_kib()
    seen = []

    def watch():
        seen.append(d.pss_kib())
        time.sleep(0.05)
    spent = pull_watched(d, ref, watch)
    return idle / 1024, max(seen) / 1024, spent


def ping(d, ref):
    conn = UnixConnection(d.path)
    seen = []

    def watch():
        start = time.perf_counter()
        d.call("GET", "/_ping", conn=conn)
        seen.append(time.perf_counter() - start)
        time.sleep(0.005)
    pull_watched(d, ref, watch)
    conn.close()
    return max(seen) * 1000, statistics.median(seen) * 1000, len(seen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sockets", nargs="+")
    parser.add_argument("--megabytes", type=int, default=1000)
    args = parser.parse_args()
    daemons = [Daemon(path) for path in args.sockets]
    SEEDER.append(daemons[-1])
    ref = seed_image(daemons[-1], f"bench/watched-{args.megabytes}", [(args.megabytes // 32 or 1, 8 << 20)] * 4)
    small = seed_image(daemons[-1], "bench/small", [(8000, 8192)])
    for d in daemons:
        idle, most, spent = memory(d, ref)
        print(f"{d.path}: pull of {args.megabytes} MB in {spent:.1f} s: {idle:.0f} MiB before, at most {most:.0f}: {most - idle:+.0f} MiB", flush=True)
        for what, image in ((f"{args.megabytes} MB", ref), ("8000 files", small)):
            slowest, median, count = ping(d, image)
            print(f"{d.path}: /_ping during a pull of {what}: slowest {slowest:.1f} ms, median {median:.2f} ms of {count}", flush=True)


if __name__ == "__main__":
    main()
