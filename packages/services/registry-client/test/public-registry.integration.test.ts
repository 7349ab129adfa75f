import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const network = `set -e
mount --make-rprivate /; mount --bind "$HOSTS" /etc/hosts
ip link set lo up
for address in 203.0.113.1 203.0.113.2 10.1.2.3; do ip addr add $address/32 dev lo; done
ip link add silent0 type veth peer name silent1
ip addr add 198.51.100.1/24 dev silent0; ip link set silent0 up; ip link set silent1 up
exec "$0" --conditions=@berth/source "$1"`

describe.skipIf(process.getuid?.() !== 0)('a registry of the open network (in a network of its own, which takes root)', () => {
  let directory: string
  let outcomes: Record<string, unknown>

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'berth-public-registry-'))
    await writeFile(join(directory, 'hosts'), '127.0.0.1 localhost inner.example\n')
    const script = join(import.meta.dirname, 'public-network-process.ts')
    const { stdout } = await promisify(execFile)('unshare', ['--net', '--mount', 'sh', '-c', network, process.execPath, script], { env: { PATH: process.env['PATH'], HOSTS: join(directory, 'hosts') } })
    outcomes = JSON.parse(stdout) as Record<string, unknown>
  })
  afterAll(() => rm(directory, { recursive: true }))

  it('may have tokens bought of another public host', () => expect(outcomes['realmOuter']).toBe('done'))

  it.each(['realmInner', 'realmLocalhost', 'realmName', 'redirectInner', 'redirectName', 'foreignInner', 'uploadInner'])(
    'cannot have us ask an address of this machine or a private network: %s (server-side request forgery)',
    (name) => expect(outcomes[name]).toBe('REGISTRY_INNER_ADDRESS'),
  )

  it('has had none of them asked', () => expect(outcomes['askedInner']).toBe(0))

  it('can where the host was named as insecure', () => expect(outcomes['realmNamed']).toBe('done'))

  it('can if it is of a private network itself', () => expect(outcomes['privateToInner']).toBe('done'))

  it('that does not connect in its time is left', () => expect(outcomes['dial']).toBe('Get "http://198.51.100.2/v2/app/tags/list": dial tcp 198.51.100.2: i/o timeout'))
})
