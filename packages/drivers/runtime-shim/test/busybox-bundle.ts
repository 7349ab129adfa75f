import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CreateTaskOptions, StdioOptions } from '@berth/oci-runtime'

/** Directories for runtimes and bundles under test; disposing says what was left on the machine, and fails if anything was. */
export interface BundleRoot extends AsyncDisposable {
  stateDir: string
  bundle(args: readonly string[], options?: { stdio?: StdioOptions; memory?: number; namespaces?: string[] }): Promise<Omit<CreateTaskOptions, 'stdio' | 'signal'>>
}

export const processSpec = (args: readonly string[], stdio?: StdioOptions) => ({
  args,
  terminal: stdio?.terminal ?? false,
  cwd: '/',
  env: ['PATH=/bin'],
  user: { uid: 0, gid: 0 },
})

/** Needs root and Debian's busybox-static. */
export async function bundleRoot(): Promise<BundleRoot> {
  const root = await mkdtemp(join(tmpdir(), 'berth-shim-'))
  const image = join(root, 'image')
  const group = `berth-test-${root.slice(-6)}`
  for (const directory of ['bin', 'proc', 'dev', 'sys', 'tmp']) await mkdir(join(image, directory), { recursive: true })
  await copyFile('/bin/busybox', join(image, 'bin/busybox'))
  for (const applet of ['sh', 'cat', 'stty', 'sleep', 'echo', 'dd', 'head', 'tail']) await symlink('busybox', join(image, 'bin', applet))
  await writeFile(join(image, 'bin/data'), 'not a program', { mode: 0o644 })
  let count = 0
  return {
    stateDir: join(root, 'state'),
    async bundle(args, { stdio, memory, namespaces = ['pid', 'ipc', 'uts', 'mount', 'network'] } = {}) {
      const id = `${group}-${count++}`
      const bundle = join(root, id)
      await mkdir(bundle)
      const config = {
        ociVersion: '1.0.2',
        process: processSpec(args, stdio),
        root: { path: 'rootfs' },
        hostname: id,
        mounts: [
          { destination: '/proc', type: 'proc', source: 'proc' },
          { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=64k'] },
          { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance', 'ptmxmode=0666', 'mode=0620'] },
        ],
        linux: {
          cgroupsPath: `/${group}/${id}`,
          namespaces: namespaces.map((type) => ({ type })),
          resources: { devices: [{ allow: true, access: 'rwm' }], ...(memory ? { memory: { limit: memory, swap: memory } } : {}) },
        },
      }
      await writeFile(join(bundle, 'config.json'), JSON.stringify(config))
      return { id, bundle, rootfs: [{ type: 'bind', source: image, options: ['rbind', 'rw'] }] }
    },
    async [Symbol.asyncDispose]() {
      const left = leftovers(root, group)
      await rm(root, { recursive: true, force: true })
      for (const controller of readdirSync('/sys/fs/cgroup')) {
        const directory = join('/sys/fs/cgroup', controller, group)
        if (existsSync(directory)) rmdirSync(directory)
      }
      if (left.length) throw new Error(`left behind:\n${left.join('\n')}`)
    },
  }
}

/** Mounts, sockets and pipes under `root`, cgroups under `group`, and processes that name either. */
function leftovers(root: string, group: string): string[] {
  const left = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(root))
  for (const controller of readdirSync('/sys/fs/cgroup')) {
    const directory = join('/sys/fs/cgroup', controller, group)
    if (existsSync(directory)) left.push(...readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name)))
  }
  for (const entry of readdirSync(root, { withFileTypes: true, recursive: true })) {
    if (entry.isSocket() || entry.isFIFO()) left.push(join(entry.parentPath, entry.name))
  }
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const command = commandOf(pid)
    if (command.includes(group)) left.push(`process ${pid}: ${command}`)
  }
  return left
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
