import { BerthError } from '@berth/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeEngine, fakeEngine } from './fake-engine.ts'

const images: Record<string, string[]> = { base: ['l1', 'l2'], child: ['l1', 'l2', 'l3'], sibling: ['l1', 'x2', 'x3'], empty: [] }

describe('filters of a list', () => {
  let engine: FakeEngine
  beforeAll(async () => {
    engine = await fakeEngine({}, ({ images: fakes, networks, volumes }) => ({
      images: {
        ...fakes,
        async resolve(ref) {
          const name = ref.replace(/^sha256:/, '')
          const layers = images[name]
          if (!layers) throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `No such image: ${ref}`)
          return { id: `sha256:${name}`, chainId: undefined, config: { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: layers } } }
        },
      },
      networks: { ...networks, settings: () => ({ Networks: { bridge: { NetworkID: 'abc123' } }, Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] } }) },
      volumes: { ...volumes, mountPoints: () => [{ Type: 'volume', Name: 'data', Source: '/var/data', Destination: '/in' }, { Type: 'bind', Source: '/srv', Destination: '/srv' }] },
    }))
    const { containers } = engine.runtime
    await containers.create('of-base', { Image: 'base', Cmd: ['true'], Labels: { kind: 'a', 'with.dot': 'x=y' }, ExposedPorts: { '9000/udp': {} } }, {})
    await containers.create('of-child', { Image: 'child', Cmd: ['true'], Labels: { kind: 'b' } }, {})
    await containers.create('of-sibling', { Image: 'sibling', Cmd: ['exit', '3'] }, {})
    await containers.create('of-empty', { Image: 'empty', Cmd: ['true'] }, {})
    const { result } = await containers.wait('of-sibling', { condition: 'next-exit', signal: new AbortController().signal })
    await containers.start('of-sibling')
    await result
  })
  afterAll(() => engine[Symbol.asyncDispose]())

  const list = async (filters: Record<string, string[]>, options: { all?: boolean; limit?: number } = {}): Promise<string> =>
    (await engine.runtime.containers.list({ all: true, size: false, ...options, filters: new Map(Object.entries(filters)) })).map(({ Names }) => Names?.[0]?.replace('/of-', '')).join(' ')

  it.each([
    [{ ancestor: ['base'] }, 'child base'],
    [{ ancestor: ['child'] }, 'child'],
    [{ ancestor: ['empty'] }, 'empty'],
    [{ ancestor: ['nothing'] }, ''],
    [{ ancestor: ['child', 'sibling'] }, 'sibling child'],
    [{ name: ['of-base', '^/of-ch'] }, 'child base'],
    [{ name: ['/of-base'] }, 'base'],
    [{ name: ['['] }, ''],
    [{ label: ['kind'] }, 'child base'],
    [{ label: ['kind', 'kind=a'] }, 'base'],
    [{ label: ['with.dot=x=y'] }, 'base'],
    [{ label: ['constructor'] }, ''],
    [{ status: ['created', 'exited'] }, 'empty sibling child base'],
    [{ status: ['running'] }, ''],
    [{ exited: ['3'] }, 'sibling'],
    [{ exited: ['0'] }, ''], // never started is not exited
    [{ health: ['none'] }, 'empty sibling child base'],
    [{ health: ['healthy'] }, ''],
    [{ before: ['of-sibling'] }, 'child base'],
    [{ since: ['of-base'], before: ['of-empty'] }, 'sibling child'],
    [{ network: ['bridge'] }, 'empty sibling child base'],
    [{ network: ['abc'] }, 'empty sibling child base'],
    [{ network: ['ridge'] }, ''],
    [{ volume: ['data'] }, 'empty sibling child base'],
    [{ volume: ['/srv'] }, 'empty sibling child base'],
    [{ volume: ['/var/data'] }, ''],
    [{ publish: ['8000-8100/tcp'] }, 'empty sibling child base'],
    [{ publish: ['80'] }, ''],
    [{ expose: ['9000/udp'] }, 'base'],
    [{ expose: ['9000'] }, ''],
    [{ publish: ['1'], expose: ['9000/udp'] }, 'base'],
    [{ 'is-task': ['true'] }, ''],
    [{ 'is-task': ['false'], label: ['kind=b'] }, 'child'],
    [{ isolation: ['hyperv'] }, 'empty sibling child base'],
    [{ name: ['base'], label: ['kind=b'] }, ''],
  ])('%j finds "%s"', async (filters, expected) => {
    expect(await list(filters as Record<string, string[]>)).toBe(expected)
  })

  it('shows the last few, of any state', async () => {
    expect(await list({}, { all: false, limit: 2 })).toBe('empty sibling')
    expect(await list({ name: ['base'] }, { all: false, limit: 2 })).toBe('base')
    expect(await list({}, { all: false })).toBe('')
  })

  it.each([
    [{ nonsense: ['x'] }, "invalid filter 'nonsense'"],
    [{ constructor: ['x'] }, "invalid filter 'constructor'"],
    [{ status: ['sleeping'] }, "invalid filter 'status=sleeping'"],
    [{ health: ['ill'] }, 'unrecognized filter value for health: ill'],
    [{ exited: ['x'] }, "invalid filter 'exited=x'"],
    [{ 'is-task': ['perhaps'] }, "invalid filter 'is-task=[perhaps]'"],
    [{ publish: ['127.0.0.1:80'] }, "filter for 'publish' should not contain ':': 127.0.0.1:80"],
    [{ expose: ['70000'] }, 'error while looking up for expose 70000: invalid port'],
  ])('%j is refused: %s', async (filters, message) => {
    await expect(list(filters as Record<string, string[]>)).rejects.toMatchObject({ kind: 'invalid-argument', message })
  })

  it('compares with containers that are there', async () => {
    await expect(list({ before: ['nobody'] })).rejects.toMatchObject({ kind: 'not-found', message: 'No such container: nobody' })
  })
})
