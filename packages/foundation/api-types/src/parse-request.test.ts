import { describe, expect, it } from 'vitest'
import { parseRequest } from './parse-request.ts'

const create = (body: unknown) => parseRequest('ContainerCreateRequest', body)

describe('what is passed on', () => {
  it('keeps what is known, of every part', () => {
    const body = { Image: 'busybox', Cmd: ['true'], Labels: { a: 'b' }, HostConfig: { Memory: 1024, Binds: ['a:/b'] }, NetworkingConfig: { EndpointsConfig: { net: { Aliases: ['x'] } } } }
    expect(create(body)).toEqual(body)
  })

  it('leaves out what is null or not known', () => {
    expect(create({ Image: 'x', Env: null, Nonsense: 1, HostConfig: { Memory: null, Whatever: {} } })).toEqual({ Image: 'x', HostConfig: {} })
  })

  it('keeps the keys of maps, whose values may be nothing', () => {
    const body = { ExposedPorts: { '80/tcp': {} }, HostConfig: { PortBindings: { '80/tcp': null, '81/tcp': [{ HostIp: '', HostPort: '8081' }] } }, NetworkingConfig: { EndpointsConfig: { net: null } } }
    expect(create(body)).toEqual(body)
  })

  it('takes a command given as one string', () => {
    expect(create({ Cmd: 'true', Entrypoint: 'sh' })).toEqual({ Cmd: ['true'], Entrypoint: ['sh'] })
  })

  it('cannot be made to change prototypes', () => {
    const checked = create(JSON.parse('{"Labels":{"__proto__":"x","a":"b"},"__proto__":{"Image":"y"}}')) as { Labels: object; Image?: string }
    expect(Object.getPrototypeOf(checked.Labels)).toBe(Object.prototype)
    expect(Object.keys(checked.Labels)).toEqual(['__proto__', 'a'])
    expect(checked.Image).toBeUndefined()
  })
})

describe('what is refused, by name', () => {
  it.each([
    [{ Image: 1 }, 'invalid JSON: Image must be a string, not number'],
    [{ Cmd: {} }, 'invalid JSON: Cmd must be an array, not object'],
    [{ Cmd: ['a', 1] }, 'invalid JSON: Cmd[1] must be a string, not number'],
    [{ HostConfig: [] }, 'invalid JSON: HostConfig must be an object, not array'],
    [{ HostConfig: { Memory: '1' } }, 'invalid JSON: HostConfig.Memory must be a number, not string'],
    [{ HostConfig: { Memory: 1.5 } }, /HostConfig\.Memory must be a whole number/],
    [{ HostConfig: { Memory: 1e300 } }, /HostConfig\.Memory must be a whole number/],
    [{ HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 80 }] } } }, 'invalid JSON: HostConfig.PortBindings["80/tcp"][0].HostPort must be a string, not number'],
    [{ Labels: { a: 1 } }, 'invalid JSON: Labels.a must be a string, not number'],
    [{ Tty: 'yes' }, 'invalid JSON: Tty must be a boolean, not string'],
  ])('%j', (body, message) => {
    expect(() => create(body)).toThrow(message)
    expect(() => create(body)).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })

  it.each([null, [], 'text', 1, undefined])('a body that is %j', (body) => {
    expect(() => create(body)).toThrow(/the body must be an object/)
  })
})
