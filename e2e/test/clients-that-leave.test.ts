import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { busyboxTar, type Daemon, eventually, TestHost } from '../src/index.ts'

let host: TestHost
let daemon: Daemon
beforeAll(async () => {
  host = await TestHost.start()
  daemon = await host.startDaemon()
})
afterAll(() => host[Symbol.asyncDispose]())

/** What the daemon has open of files, and of pipes and sockets. */
const openDescriptors = async (): Promise<number> => Number(await host.sh(`ls /proc/${daemon.pid}/fd | wc -l`))
/** A client that takes 1 KiB of an answer and is gone. */
const takes = (path: string): Promise<unknown> => host.sh(`curl -sN --unix-socket ${daemon.socket} 'http://engine${path}' | head -c 1024 > ${host.dir}/taken`)
/** One that is gone while it sends. */
const sends = (method: string, path: string): Promise<unknown> =>
  host.sh(`timeout -s KILL 0.3 curl -s -X ${method} --limit-rate 100k -T ${busyboxTar()} --unix-socket ${daemon.socket} 'http://engine${path}' || true`)

it('leave no descriptor and no file behind when they go in the middle of an archive', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '1000')
  const round = async (): Promise<void> => {
    await takes('/images/get?names=busybox')
    await takes(`/containers/${id}/export`)
    await takes(`/containers/${id}/archive?path=/bin`)
    expect(readFileSync(`${host.dir}/taken`)).toHaveLength(1024)
    await Promise.all([sends('POST', '/images/load'), sends('POST', '/images/create?fromSrc=-'), sends('PUT', `/containers/${id}/archive?path=/tmp`)])
  }
  // Threads and what they keep are there after the first.
  await round()
  const before = await openDescriptors()
  for (let rounds = 0; rounds < 8; rounds++) await round()
  await eventually(async () => ((await openDescriptors()) <= before + 2 ? true : undefined), { what: `no more than ${before} open descriptors` })
  expect(await host.sh(`find ${daemon.dataRoot}/images/ingest -type f`)).toBe('')
  expect(await daemon.ok('images', '-q', '-f', 'dangling=true')).toBe('')
})
