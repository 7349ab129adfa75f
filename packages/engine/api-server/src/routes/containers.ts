import { BerthError } from '@berth/core'
import type { ContainerBackend } from '../backend.ts'
import { body, type Call, type Handler, json, noContent, type Route } from '../call.ts'
import { bytes, progressLines } from '../streams.ts'
import { inspectedFor, listedFor } from './older-versions.ts'

const idOf = ({ params }: Call): string => params['id'] ?? ''

const conditions = ['not-running', 'next-exit', 'removed'] as const

/** What is done to a container and needs no more answer than that it is done. */
function command(perform: (call: Call) => Promise<void>): Handler {
  return async (call) => {
    await perform(call)
    noContent(call)
  }
}

const stopOptions = ({ query }: Call): { timeout?: number; signal?: string } => ({ timeout: query.integer('t'), signal: query.text('signal') })

const startOptions = ({ query }: Call): Parameters<ContainerBackend['start']>[1] => ({
  detachKeys: query.text('detachKeys'),
  checkpoint: query.text('checkpoint'),
  checkpointDir: query.text('checkpoint-dir'),
})

export function containerRoutes(containers: ContainerBackend): Route[] {
  return [
    {
      method: 'GET',
      path: '/containers/json',
      handler: async (call) => {
        const { query } = call
        const limit = query.integer('limit')
        const list = await containers.list({ all: query.flag('all'), limit: limit && limit > 0 ? limit : undefined, size: query.flag('size'), filters: query.filters() })
        json(call, 200, listedFor(call.version, list))
      },
    },
    {
      method: 'POST',
      path: '/containers/create',
      handler: async (call) => {
        const request = await body(call, 'ContainerCreateRequest')
        json(call, 201, await containers.create(call.query.text('name'), request, { platform: call.query.text('platform'), version: call.version, signal: call.signal }))
      },
    },
    { method: 'GET', path: '/containers/{id}/json', handler: async (call) => json(call, 200, inspectedFor(call.version, await containers.inspect(idOf(call), { size: call.query.flag('size') }))) },
    { method: 'POST', path: '/containers/{id}/start', handler: command((call) => containers.start(idOf(call), startOptions(call))) },
    { method: 'POST', path: '/containers/{id}/stop', handler: command((call) => containers.stop(idOf(call), stopOptions(call))) },
    { method: 'POST', path: '/containers/{id}/restart', handler: command((call) => containers.restart(idOf(call), stopOptions(call))) },
    { method: 'POST', path: '/containers/{id}/kill', handler: command((call) => containers.kill(idOf(call), { signal: call.query.text('signal') })) },
    { method: 'POST', path: '/containers/{id}/pause', handler: command((call) => containers.pause(idOf(call))) },
    { method: 'POST', path: '/containers/{id}/unpause', handler: command((call) => containers.unpause(idOf(call))) },
    { method: 'POST', path: '/containers/{id}/rename', handler: command((call) => containers.rename(idOf(call), call.query.text('name') ?? '')) },
    { method: 'POST', path: '/containers/{id}/update', handler: async (call) => json(call, 200, await containers.update(idOf(call), await body(call, 'ContainerUpdateRequest'))) },
    {
      method: 'POST',
      path: '/containers/{id}/resize',
      handler: async (call) => {
        await containers.resize(idOf(call), call.query.size())
        call.response.writeHead(200).end()
      },
    },
    {
      method: 'POST',
      path: '/containers/{id}/wait',
      handler: async (call) => {
        const asked = call.query.text('condition') ?? 'not-running'
        const condition = conditions.find((known) => known === asked)
        if (!condition) throw new BerthError('invalid-argument', 'CONDITION_INVALID', `invalid condition: "${asked}"`)
        const { result } = await containers.wait(idOf(call), { condition, signal: call.signal })
        // The head of the answer says that from here on nothing is missed; clients start the container on it.
        call.response.writeHead(200, { 'Content-Type': 'application/json' })
        call.response.flushHeaders()
        call.response.end(`${JSON.stringify(await result)}\n`)
      },
    },
    {
      method: 'DELETE',
      path: '/containers/{id}',
      handler: command((call) => containers.remove(idOf(call), { force: call.query.flag('force'), volumes: call.query.flag('v'), link: call.query.flag('link') })),
    },
    { method: 'POST', path: '/containers/prune', handler: async (call) => json(call, 200, await containers.prune(call.query.filters())) },
    { method: 'GET', path: '/containers/{id}/top', handler: async (call) => json(call, 200, await containers.top(idOf(call), call.query.text('ps_args') ?? '-ef')) },
    {
      method: 'GET',
      path: '/containers/{id}/stats',
      handler: (call) => progressLines(call, containers.stats(idOf(call), { stream: call.query.flag('stream', true), oneShot: call.query.flag('one-shot'), signal: call.signal })),
    },
    { method: 'GET', path: '/containers/{id}/export', handler: async (call) => bytes(call, { 'Content-Type': 'application/x-tar' }, await containers.export(idOf(call), { signal: call.signal })) },
    { method: 'GET', path: '/containers/{id}/changes', handler: async (call) => json(call, 200, await containers.changes(idOf(call), { signal: call.signal })) },
  ]
}
