import { PassThrough, type Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, type RunningCommand, TestHost } from '../src/index.ts'

describe('terminals', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  /** `script` gives the docker command line a terminal whose size `stty` sets from outside. */
  function inTerminal(rows: number, columns: number, command: string, input: Readable = new PassThrough()): RunningCommand {
    const docker = `docker -H unix://${daemon.socket} ${command}`
    return host.spawn('script', ['-qefc', `tty > ${host.dir}/tty; stty rows ${rows} cols ${columns}; exec ${docker}`, '/dev/null'], { input, env: { TERM: 'xterm' } })
  }

  it('has the size of the client, and follows its resizing', async () => {
    await daemon.ok('create', '-it', '--name', 'sized', 'busybox', 'sh', '-c', 'until [ "$(stty size)" = "33 99" ]; do sleep 0.05; done; trap "stty size; exit" WINCH; stty size; while :; do sleep 0.05; done')
    const run = inTerminal(33, 99, 'start -ai sized')
    await run.saw(/33 99/)
    await host.sh(`stty -F $(cat ${host.dir}/tty) rows 44 cols 111`)
    await run.saw(/44 111/)
    expect((await run.done).code).toBe(0)
    await daemon.ok('rm', 'sized')
  })

  it('is a terminal, with one stream for both outputs', async () => {
    const run = inTerminal(24, 80, `run --rm -t busybox sh -c "tty; echo out; echo err >&2"`)
    expect((await run.done).code).toBe(0)
    expect(run.stdout).toMatch(/\/dev\/pts\/0\r+\nout\r+\nerr\r+\n/)
  })

  it('serves exec -it in a running container', async () => {
    await daemon.ok('run', '-d', '--name', 'target', 'busybox', 'sleep', '300')
    const run = inTerminal(21, 77, `exec -it target sh -c "until [ \\"\\$(stty size)\\" = '21 77' ]; do sleep 0.05; done; echo size is right; tty"`)
    await run.saw(/size is right\r\n\/dev\/pts\/0/)
    expect((await run.done).code).toBe(0)
    await daemon.ok('rm', '-f', 'target')
  })

  it('lets the client go on the detach keys, and the container stay', async () => {
    const keys = new PassThrough()
    const run = inTerminal(24, 80, 'run -it --name stays busybox sh -c "echo ready; cat"', keys)
    await run.saw(/ready/)
    keys.write('\x10\x11') // ctrl-p ctrl-q
    await run.done
    expect(await daemon.ok('inspect', '-f', '{{.State.Running}}', 'stays')).toBe('true')
    await daemon.ok('rm', '-f', 'stays')
  })
})
