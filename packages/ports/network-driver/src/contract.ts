import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EndpointDefinition, NetworkDefinition, NetworkDriver, PortProtocol, PortRequest, PublishedPort } from './index.ts'

/** Where a question is asked: on the host, on a machine beside it, or in a sandbox, by its path. */
export type Place = 'host' | 'neighbour' | (string & {})

/** A machine with a driver. In every sandbox, and on the neighbour, something answers on port 80 of TCP and UDP and says where it is. */
export interface NetworkDriverHarness extends AsyncDisposable {
  driver: NetworkDriver
  /** Of the host and of the neighbour, on what connects the two. */
  addresses: { host: string; neighbour: string }
  makeSandbox(): Promise<string>
  /** Who answers, or undefined for nobody: a sandbox's path or `neighbour`. */
  ask(from: Place, target: { protocol: PortProtocol; address: string; port: number }): Promise<string | undefined>
  /** An interface of a sandbox; undefined when it is not there. */
  interfaceOf(sandbox: string, name: string): Promise<{ macAddress: string; addresses: string[] } | undefined>
  /** Lets another program of the host have a port. */
  occupy(port: Pick<PublishedPort, 'protocol' | 'hostAddress' | 'hostPort'>): Promise<void>
  /** Ends `driver` without warning and puts a new one over the same machine in its place. */
  crash(): Promise<void>
}

/**
 * Runs the network driver suite on what `setUp` makes afresh for each test. What needs addresses is asked only where networks have `addresses`,
 * and joining not of a driver that never `joins`, as the host's.
 */
export function describeNetworkDriver(name: string, setUp: () => Promise<NetworkDriverHarness>, { joins = true, addresses = joins }: { joins?: boolean; addresses?: boolean } = {}): void {
  describe(`network driver contract: ${name}`, { timeout: 30_000 }, () => {
    let harness: NetworkDriverHarness
    let driver: NetworkDriver
    let subnets: number

    beforeEach(async () => {
      subnets = 18
      harness = await setUp()
      driver = harness.driver
      await driver.restore([])
    })
    afterEach(() => harness[Symbol.asyncDispose]())

    const define = (more: Partial<NetworkDefinition> = {}): NetworkDefinition => {
      const id = newId()
      const part = subnets++
      return { id, name: `net-${id.slice(0, 6)}`, isInternal: false, options: {}, subnets: driver.hasAddresses ? [{ cidr: `172.${part}.0.0/16`, gateway: `172.${part}.0.1` }] : [], ...more }
    }
    const makeNetwork = async (more?: Partial<NetworkDefinition>) => {
      const network = define(more)
      await driver.createNetwork(network)
      return network
    }
    const endpointOn = async (network: NetworkDefinition, host: number, more: Partial<EndpointDefinition> = {}): Promise<EndpointDefinition> => {
      const part = Number(network.subnets[0]?.cidr.split('.')[1])
      return {
        id: newId(),
        networkId: network.id,
        sandbox: more.sandbox ?? (await harness.makeSandbox()),
        interfaceName: 'eth0',
        macAddress: `02:42:ac:${part.toString(16)}:00:${host.toString(16).padStart(2, '0')}`,
        addresses: [`172.${part}.0.${host}/16`],
        isDefaultRoute: true,
        ...more,
      }
    }
    const join = async (network: NetworkDefinition, host: number, more?: Partial<EndpointDefinition>) => {
      const endpoint = await endpointOn(network, host, more)
      await driver.join(endpoint)
      return endpoint
    }
    const ask = (from: Place, address: string, port = 80, protocol: PortProtocol = 'tcp') => harness.ask(from, { protocol, address, port })
    const request = (more: Partial<PortRequest> = {}): PortRequest => ({ protocol: 'tcp', containerPort: 80, hostAddress: '0.0.0.0', hostPorts: { first: 8080, last: 8080 }, ...more })
    const bare = ({ addresses }: EndpointDefinition) => addresses[0]!.split('/')[0]!

    it('says what it can do', () => {
      expect(driver.sandbox).toBe(joins ? 'own' : 'host')
      expect(driver.hasAddresses).toBe(addresses)
    })

    it('refuses an option that it does not know, by its name', async () => {
      const network = define({ options: { 'no.such.option': '1' } })
      expect(() => driver.check(network)).toThrow(expect.objectContaining({ kind: 'invalid-argument', message: expect.stringContaining('no.such.option') as string }) as Error)
      await expect(driver.createNetwork(network)).rejects.toMatchObject({ kind: 'invalid-argument' })
    })

    it('may be asked again for what is done already, and to undo what never was', async () => {
      const network = await makeNetwork()
      await driver.createNetwork(network)
      await driver.leave(network.id, newId())
      await driver.unpublish(network.id, newId())
      await driver.removeNetwork(network.id)
      await driver.removeNetwork(network.id)
      await driver.leave(network.id, newId())
      await expect(driver.unpublish(network.id, newId())).resolves.toBeUndefined()
    })

    if (!joins) return

    it('refuses to join a network that is not there', async () => {
      await expect(join(define(), 2)).rejects.toMatchObject({ kind: 'not-found' })
    })

    if (!addresses) return
    describe('with addresses', () => {
      it('gives the interface that it was told to, and takes it back', async () => {
        const network = await makeNetwork()
        const endpoint = await join(network, 2, { interfaceName: 'front' })
        expect(await harness.interfaceOf(endpoint.sandbox, 'front')).toEqual({ macAddress: endpoint.macAddress, addresses: endpoint.addresses })
        await driver.join(endpoint)
        expect(await ask('host', bare(endpoint))).toBe(endpoint.sandbox)
        await driver.leave(network.id, endpoint.id)
        await driver.leave(network.id, endpoint.id)
        expect(await harness.interfaceOf(endpoint.sandbox, 'front')).toBeUndefined()
      })

      it('connects what is on one network and keeps networks apart', async () => {
        const [front, back] = [await makeNetwork(), await makeNetwork()]
        const [one, other, third] = [await join(front, 2), await join(front, 3), await join(back, 2)]
        expect(await ask(one.sandbox, bare(other))).toBe(other.sandbox)
        expect(await ask(one.sandbox, bare(other), 80, 'udp')).toBe(other.sandbox)
        expect(await ask('host', bare(third))).toBe(third.sandbox)
        expect(await ask(one.sandbox, bare(third))).toBeUndefined()
        expect(await ask(third.sandbox, bare(one))).toBeUndefined()
      })

      it('puts a sandbox on several networks', async () => {
        const [front, back] = [await makeNetwork(), await makeNetwork()]
        const [one, two] = [await join(front, 2), await join(back, 2)]
        const both = await join(front, 3)
        await join(back, 3, { sandbox: both.sandbox, interfaceName: 'eth1', isDefaultRoute: false })
        expect(await ask(both.sandbox, bare(one))).toBe(one.sandbox)
        expect(await ask(both.sandbox, bare(two))).toBe(two.sandbox)
      })

      it('leads elsewhere by the endpoint that has the default route', async () => {
        const network = await makeNetwork()
        const endpoint = await join(network, 2, { isDefaultRoute: false })
        expect(await ask(endpoint.sandbox, harness.addresses.neighbour)).toBeUndefined()
        await driver.setDefaultRoute(network.id, endpoint.id, true)
        expect(await ask(endpoint.sandbox, harness.addresses.neighbour)).toBe('neighbour')
        expect(await ask(endpoint.sandbox, harness.addresses.neighbour, 80, 'udp')).toBe('neighbour')
        await driver.setDefaultRoute(network.id, endpoint.id, false)
        expect(await ask(endpoint.sandbox, harness.addresses.neighbour)).toBeUndefined()
      })

      it('shuts an internal network in', async () => {
        const network = await makeNetwork({ isInternal: true })
        const [one, other] = [await join(network, 2), await join(network, 3)]
        expect(await ask(one.sandbox, bare(other))).toBe(other.sandbox)
        expect(await ask('host', bare(one))).toBe(one.sandbox)
        expect(await ask(one.sandbox, harness.addresses.neighbour)).toBeUndefined()
        expect(await ask('neighbour', bare(one))).toBeUndefined()
      })

      it('lets no neighbour reach what is not published', async () => {
        const endpoint = await join(await makeNetwork(), 2)
        expect(await ask('neighbour', harness.addresses.neighbour)).toBe('neighbour')
        expect(await ask('neighbour', bare(endpoint))).toBeUndefined()
      })

      it('publishes ports to everybody, until they are taken back', async () => {
        const [network, another] = [await makeNetwork(), await makeNetwork()]
        const [endpoint, beside, far] = [await join(network, 2), await join(network, 3), await join(another, 2)]
        const requests = [request(), request({ protocol: 'udp' })]
        const published = await driver.publish(network.id, endpoint.id, requests)
        expect(published).toEqual(requests.map(({ protocol }) => ({ protocol, containerPort: 80, hostAddress: '0.0.0.0', hostPort: 8080 })))
        for (const place of ['neighbour', 'host', endpoint.sandbox, beside.sandbox, far.sandbox]) {
          expect(await ask(place, harness.addresses.host, 8080)).toBe(endpoint.sandbox)
          expect(await ask(place, harness.addresses.host, 8080, 'udp')).toBe(endpoint.sandbox)
        }
        expect(await ask('host', '127.0.0.1', 8080)).toBe(endpoint.sandbox)
        await driver.unpublish(network.id, endpoint.id)
        expect(await ask('neighbour', harness.addresses.host, 8080)).toBeUndefined()
        await driver.publish(network.id, endpoint.id, [request()])
        await driver.leave(network.id, endpoint.id)
        await driver.publish(network.id, beside.id, [request()])
        expect(await ask('neighbour', harness.addresses.host, 8080)).toBe(beside.sandbox)
      })

      it('publishes on one address only', async () => {
        const network = await makeNetwork()
        const [one, other] = [await join(network, 2), await join(network, 3)]
        await driver.publish(network.id, one.id, [request({ hostAddress: '127.0.0.1' })])
        await driver.publish(network.id, other.id, [request({ hostAddress: harness.addresses.host })])
        expect(await ask('host', '127.0.0.1', 8080)).toBe(one.sandbox)
        expect(await ask('host', harness.addresses.host, 8080)).toBe(other.sandbox)
        expect(await ask('neighbour', harness.addresses.host, 8080)).toBe(other.sandbox)
      })

      it('keeps a port published that is asked for again', async () => {
        const network = await makeNetwork()
        const endpoint = await join(network, 2)
        const requests = [request({ hostPorts: undefined }), request({ hostPorts: { first: 9000, last: 9009 } }), request({ hostPorts: { first: 9000, last: 9009 } })]
        const published = await driver.publish(network.id, endpoint.id, requests)
        expect(published.slice(1).map(({ hostPort }) => hostPort)).toEqual([9000, 9001])
        const again = await driver.publish(network.id, endpoint.id, [...requests, request({ hostPorts: { first: 9000, last: 9009 } })])
        expect(again.slice(0, 3)).toEqual(published)
        expect(again[3]?.hostPort).toBe(9002)
      })

      it('chooses one port for all addresses', async () => {
        const network = await makeNetwork()
        const endpoint = await join(network, 2)
        const range = { first: 9000, last: 9009 }
        await harness.occupy({ protocol: 'tcp', hostAddress: harness.addresses.host, hostPort: 9000 })
        const published = await driver.publish(network.id, endpoint.id, [
          request({ hostAddress: '127.0.0.1', hostPorts: range }),
          request({ hostAddress: harness.addresses.host, hostPorts: range }),
          request({ hostAddress: '0.0.0.0', hostPorts: undefined }),
          request({ hostAddress: '::', hostPorts: undefined }),
        ])
        const [one, two, four, six] = published.map(({ hostPort }) => hostPort)
        expect([one, two]).toEqual([9001, 9001])
        expect(four).toBe(six)
        expect(await ask('host', '::1', six)).toBe(endpoint.sandbox)
      })

      it('refuses a port that is published already, and publishes nothing then', async () => {
        const network = await makeNetwork()
        const [one, other] = [await join(network, 2), await join(network, 3)]
        await driver.publish(network.id, one.id, [request()])
        const refused = driver.publish(network.id, other.id, [request({ hostPorts: { first: 8081, last: 8081 } }), request({ hostAddress: '127.0.0.1' })])
        await expect(refused).rejects.toMatchObject({ kind: 'conflict', message: 'Bind for 127.0.0.1:8080 failed: port is already allocated' })
        expect(await ask('host', '127.0.0.1', 8081)).toBeUndefined()
        await driver.publish(network.id, other.id, [request({ protocol: 'udp' }), request({ hostPorts: { first: 8081, last: 8081 } })])
        expect(await ask('host', '127.0.0.1', 8081)).toBe(other.sandbox)
      })

      it('refuses a port that another program has', async () => {
        const network = await makeNetwork()
        const endpoint = await join(network, 2)
        await harness.occupy({ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8099 })
        const message = `failed to bind host port for 127.0.0.1:8099:${bare(endpoint)}:80/tcp: address already in use`
        const port = { first: 8099, last: 8099 }
        await expect(driver.publish(network.id, endpoint.id, [request({ hostAddress: '127.0.0.1', hostPorts: port })])).rejects.toMatchObject({ kind: 'conflict', message })
        const [published] = await driver.publish(network.id, endpoint.id, [request({ hostAddress: '127.0.0.1', hostPorts: { first: 8099, last: 8100 } })])
        expect(published?.hostPort).toBe(8100)
        await expect(driver.publish(network.id, endpoint.id, [request({ hostPorts: { first: 8099, last: 8100 } })])).rejects.toMatchObject({ kind: 'conflict' })
      })

      it('goes on after a crash with what it is told of, and without the rest', async () => {
        const [kept, dropped] = [await makeNetwork(), await makeNetwork()]
        const [one, other, lost] = [await join(kept, 2), await join(kept, 3), await join(dropped, 2)]
        const published = await driver.publish(kept.id, one.id, [request()])
        await driver.publish(kept.id, other.id, [request({ hostPorts: { first: 8081, last: 8081 } })])
        await harness.crash()
        driver = harness.driver
        const fresh = define()
        const joined = await endpointOn(fresh, 2)
        await driver.restore([{ network: kept, endpoints: [{ endpoint: one, published }] }, { network: fresh, endpoints: [{ endpoint: joined, published: [] }] }])

        expect(await ask('neighbour', harness.addresses.host, 8080)).toBe(one.sandbox)
        expect(await harness.interfaceOf(other.sandbox, 'eth0')).toBeUndefined()
        expect(await harness.interfaceOf(lost.sandbox, 'eth0')).toBeUndefined()
        expect(await ask('host', bare(joined))).toBe(joined.sandbox)
        const another = await join(kept, 4)
        expect(await ask(another.sandbox, bare(one))).toBe(one.sandbox)
        await expect(driver.publish(kept.id, another.id, [request()])).rejects.toMatchObject({ kind: 'conflict' })
        await driver.publish(kept.id, another.id, [request({ hostPorts: { first: 8081, last: 8081 } })])
        expect(await ask('neighbour', harness.addresses.host, 8081)).toBe(another.sandbox)
        await expect(join(dropped, 3)).rejects.toMatchObject({ kind: 'not-found' })
      })
    })
  })
}

function newId(): string {
  return randomBytes(32).toString('hex')
}
