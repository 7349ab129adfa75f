import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { tarOf } from '@berth/layer-tar'
import { imageOf, layerFromTar, writeLayout } from '@berth/oci-image'
import { runContainer } from '../src/index.ts'

describe('a container in the own process', { timeout: 60_000 }, () => {
  let dir: string
  let rootfs: string
  let root: string
  const run = (options: Parameters<typeof runContainer>[0]) => runContainer({ root, ...options })

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'run-'))
    root = join(dir, 'root')
    rootfs = join(dir, 'rootfs')
    for (const name of ['bin', 'proc', 'dev', 'sys', 'tmp', 'etc']) mkdirSync(join(rootfs, name), { recursive: true })
    copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'))
    for (const applet of ['sh', 'cat', 'echo', 'sleep', 'id', 'ls']) symlinkSync('busybox', join(rootfs, 'bin', applet))
  })
  /** Nothing is left: no directory, mount, process or control group. */
  afterEach(() => {
    const left = [...(existsSync(root) ? readdirSync(root) : []), ...readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(dir))]
    if (left.length > 0) throw new Error(`left behind: ${left.join('\n')}`)
    for (const controller of readdirSync('/sys/fs/cgroup')) {
      const group = join('/sys/fs/cgroup', controller, 'berth-local')
      if (existsSync(group)) rmdirSync(group)
    }
    rmSync(dir, { recursive: true })
  })

  it('runs from a directory, which stays as it is', async () => {
    const script = 'echo out $A; echo err >&2; echo x >/tmp/written; exit 3'
    expect(await run({ rootfs, command: ['sh', '-c', script], env: ['A=b'] })).toEqual({ exitCode: 3, stdout: 'out b\n', stderr: 'err\n' })
    expect(readdirSync(join(rootfs, 'tmp'))).toEqual([])
  })

  it('runs from an image, with what its configuration says', async () => {
    const layer = await layerFromTar(tarOf([{ name: 'bin/' }, { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 }, { name: 'etc/' }, { name: 'etc/old', content: 'old' }, ...['proc/', 'dev/', 'sys/', 'tmp/'].map((name) => ({ name }))]))
    const second = await layerFromTar(tarOf([{ name: 'etc/.wh.old' }, { name: 'etc/motd', content: 'hello\n' }]))
    const image = imageOf({ config: { os: 'linux', architecture: 'amd64', config: { Cmd: ['/bin/busybox', 'sh', '-c', 'busybox ls /etc; echo $GREETING'], Env: ['PATH=/bin', 'GREETING=hello'], User: '7:8' } }, layers: [layer, second] })
    const layout = join(dir, 'layout')
    await writeLayout(layout, [{ names: [], descriptor: image.descriptor }], image)
    const { stdout } = await run({ image: layout })
    expect(stdout).toContain('motd')
    expect(stdout).not.toContain('old')
    expect(stdout).toContain('hello')
    expect((await run({ image: layout, command: ['/bin/busybox', 'id', '-u'] })).stdout).toBe('7\n')
  })

  it('runs an OCI bundle', async () => {
    const config = {
      ociVersion: '1.0.2',
      root: { path: '../rootfs' },
      process: { args: ['/bin/cat'], cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } },
      mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
      linux: { namespaces: ['pid', 'mount', 'network'].map((type) => ({ type })) },
    }
    const bundle = join(dir, 'bundle')
    mkdirSync(bundle)
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config))
    expect(await run({ bundle, stdin: 'through it' })).toEqual({ exitCode: 0, stdout: 'through it', stderr: '' })
    expect(readdirSync(bundle)).toEqual(['config.json'])
  })

  it('reads what it is given, mounts what it is told, has no network, and is confined', async () => {
    const shared = join(dir, 'shared')
    const { stdout } = await run({ rootfs, command: ['sh', '-c', 'cat >/shared/file; ls /sys/class/net; cat /proc/self/status'], stdin: 'words', host: { Binds: [`${shared}:/shared`] } })
    expect(readFileSync(join(shared, 'file'), 'utf8')).toBe('words')
    expect(stdout).toMatch(/^lo$/m)
    expect(stdout).not.toMatch(/^eth/m)
    expect(stdout).toMatch(/^Seccomp:\t2$/m)
    expect(stdout).toMatch(/^CapEff:\t00000000a80[0-9a-f]{5}$/m)
  })

  it('passes output on, and is killed by a signal', async () => {
    const stop = new AbortController()
    const seen: string[] = []
    const onOutput = (stream: string, chunk: Buffer): void => {
      seen.push(`${stream}: ${String(chunk)}`)
      stop.abort()
    }
    expect(await run({ rootfs, command: ['sh', '-c', 'echo on; sleep 1000'], onOutput, signal: stop.signal })).toEqual({ exitCode: 137, stdout: '', stderr: '' })
    expect(seen).toEqual(['stdout: on\n'])
  })

  it('says what cannot be', async () => {
    await expect(run({ rootfs, command: ['nosuch'] })).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('exec: "nosuch": executable file not found in $PATH') as string })
    await expect(run({ image: join(dir, 'none') })).rejects.toMatchObject({ kind: 'not-found' })
    await expect(run({})).rejects.toMatchObject({ code: 'RUN_WHAT' })
    await expect(run({ rootfs, command: ['id'], host: { NetworkMode: 'bridge2' } })).rejects.toMatchObject({ kind: 'not-implemented' })
    await expect(run({ rootfs, command: ['id'], host: { Binds: ['name:/there'] } })).rejects.toMatchObject({ kind: 'not-implemented' })
  })

  it.each(['rootfs', 'bundle'])('is removed by the next one when its program is killed (%s)', async (kind) => {
    const bundle = join(dir, 'bundle')
    mkdirSync(bundle)
    const process_ = { args: ['/bin/sleep', '4711'], cwd: '/', user: { uid: 0, gid: 0 } }
    writeFileSync(join(bundle, 'config.json'), JSON.stringify({ ociVersion: '1.0.2', root: { path: rootfs }, process: process_, mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }], linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }] } }))
    const options = { root, ...(kind === 'rootfs' ? { rootfs, command: ['sleep', '4711'] } : { bundle }) }
    const code = `import { runContainer } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).pathname)}; await runContainer(${JSON.stringify(options)})`
    const program = spawn(process.execPath, ['--conditions=@berth/source', '--input-type=module', '-e', code], { stdio: 'inherit' })
    await until(() => sleepers().length > 0)
    program.kill('SIGKILL')
    await once(program, 'exit')
    expect(sleepers()).toHaveLength(1)
    expect((await run({ rootfs, command: ['echo', 'after'] })).stdout).toBe('after\n')
    expect(sleepers()).toEqual([])
  })

  it('leaves alone what other programs run', async () => {
    const stop = new AbortController()
    const started = Promise.withResolvers<void>()
    const long = run({ rootfs, command: ['sh', '-c', 'echo on; sleep 1000'], onOutput: () => started.resolve(), signal: stop.signal })
    await started.promise
    expect((await run({ rootfs, command: ['echo', 'beside'] })).stdout).toBe('beside\n')
    stop.abort()
    expect((await long).exitCode).toBe(137)
  })
})

function sleepers(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').endsWith('sleep\0' + '4711\0')
    } catch {
      return false
    }
  })
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
