import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

export interface HostView {
  /** Arguments of nsenter. */
  enter: string[]
  dir: string
  cgroupParent: string
}

/** Everything that an engine could leave on a host, as sorted lines by kind. */
export type HostSnapshot = Record<'mounts' | 'links' | 'namespaces' | 'firewall' | 'processes' | 'cgroups' | 'files', string[]>

function on({ enter }: HostView, program: string, ...args: string[]): string[] {
  return execFileSync('nsenter', [...enter, program, ...args], { encoding: 'utf8' }).split('\n').filter(Boolean)
}

function directories(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => join(dir, name)) : []
}

/** Files that belong to single containers, networks or volumes: none may be there when these are gone. */
function entityFiles(dir: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => /\/[0-9a-f]{64}(\/|$)/.test(path) && !path.includes('/content/') && !/\/registry(-\d+)?\//.test(path))
}

export function takeSnapshot(view: HostView): HostSnapshot {
  const controllers = ['', ...readdirSync('/sys/fs/cgroup')]
  return {
    // fields of mountinfo: id, parent, major:minor, root, mount point
    mounts: on(view, 'cat', '/proc/self/mountinfo').map((line) => line.split(' ').slice(3, 5).join(' on ')),
    links: on(view, 'ip', '-o', 'link').map((line) => line.split(': ')[1]?.split('@')[0] ?? line),
    namespaces: on(view, 'sh', '-c', 'ls /run/netns'),
    firewall: on(view, 'nft', 'list', 'ruleset'),
    processes: on(view, 'sh', '-c', 'cd /proc; for p in [0-9]*; do read -r name < $p/comm && echo "$name"; done 2>/dev/null; true').filter((name) => !['sh', 'nsenter'].includes(name)),
    cgroups: controllers.flatMap((controller) => directories(join('/sys/fs/cgroup', controller, view.cgroupParent))),
    files: entityFiles(view.dir),
  }
}

/** What `after` has that `before` had not. */
export function differences(before: HostSnapshot, after: HostSnapshot): string[] {
  return (Object.keys(after) as (keyof HostSnapshot)[]).flatMap((kind) => {
    const known = [...before[kind]]
    return after[kind]
      .filter((line) => {
        const at = known.indexOf(line)
        if (at >= 0) known.splice(at, 1)
        return at < 0
      })
      .map((line) => `${kind}: ${line}`)
  })
}
