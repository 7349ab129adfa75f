import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, TestHost } from '../src/index.ts'

describe('devices by CDI', () => {
  let host: TestHost
  let daemon: Daemon
  let specs: string
  beforeAll(async () => {
    host = await TestHost.start()
    specs = join(host.dir, 'cdi')
    mkdirSync(specs)
    daemon = await host.startDaemon({ flags: ['--cdi-spec-dir', join(host.dir, 'none'), '--cdi-spec-dir', specs] })
    writeFileSync(
      join(specs, 'vendor.yaml'),
      `cdiVersion: "0.7.0"
kind: vendor.com/dev
containerEdits:
  env: [VENDOR=here]
devices:
  - name: one
    containerEdits:
      deviceNodes: [{ path: /dev/vendor0, hostPath: /dev/zero, permissions: r }]
      mounts: [{ hostPath: ${host.dir}/cdi, containerPath: /vendor, options: [ro, bind] }]
      additionalGids: [4444]
      hooks: [{ hookName: createRuntime, path: /bin/sh, args: [sh, -c, "cat > ${host.dir}/hook"] }]
`,
    )
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it('gives what the specification says to containers that ask for a device', async () => {
    const given = await daemon.ok('run', '--rm', '--device', 'vendor.com/dev=one', 'busybox', 'sh', '-c', 'echo $VENDOR; head -c 3 /dev/vendor0 | wc -c; id -G; ls /vendor')
    expect(given).toMatch(/^here\n3\n0( \d+)* 4444\nvendor\.yaml$/)
    expect(JSON.parse(await host.sh(`cat ${host.dir}/hook`))).toMatchObject({ status: 'creating' })
    expect(await daemon.ok('run', '--rm', 'busybox', 'sh', '-c', 'echo $VENDOR; [ -e /vendor ] || echo without')).toBe('\nwithout')
  })

  it('says in the words of Docker what it does not find, and what no driver serves', async () => {
    const refused = async (...flags: string[]): Promise<string> => (await daemon.docker(['run', '--rm', ...flags, 'busybox', 'true'])).stderr
    expect(await refused('--device', 'vendor.com/dev=two')).toMatch(/CDI device injection failed: unresolvable CDI devices vendor\.com\/dev=two/)
    expect(await refused('--gpus', 'all')).toMatch(/could not select device driver "" with capabilities: \[\[gpu\]\]/)
  })

  it('tells of directories and devices', async () => {
    expect(JSON.parse(await daemon.ok('info', '-f', '{{json .CDISpecDirs}}'))).toEqual([join(host.dir, 'none'), specs])
    const info = JSON.parse(await host.sh(`curl -s --unix-socket ${daemon.socket} http://x/info`)) as { DiscoveredDevices: unknown }
    expect(info.DiscoveredDevices).toEqual([{ Source: 'cdi', ID: 'vendor.com/dev=one' }])
  })
})
