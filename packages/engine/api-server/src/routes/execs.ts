import { parseRequest } from '@berth/api-types'
import type { ExecBackend } from '../backend.ts'
import { body, json, parseJson, readText, type Route } from '../call.ts'
import { readUpgradedBody, serveAttachment, upgrades } from '../hijack.ts'

const maxStartBody = 64 << 10

export function execRoutes(execs: ExecBackend, headers: () => Record<string, string>): Route[] {
  return [
    { method: 'POST', path: '/containers/{id}/exec', handler: async (call) => json(call, 201, await execs.create(call.params['id'] ?? '', await body(call, 'ExecConfig'))) },
    { method: 'GET', path: '/exec/{id}/json', handler: async (call) => json(call, 200, await execs.inspect(call.params['id'] ?? '')) },
    {
      method: 'POST',
      path: '/exec/{id}/resize',
      handler: async (call) => {
        await execs.resize(call.params['id'] ?? '', call.query.size())
        call.response.writeHead(200).end()
      },
    },
    {
      method: 'POST',
      path: '/exec/{id}/start',
      handler: async (call) => {
        const upgrade = upgrades.get(call.request)
        const text = upgrade ? await readUpgradedBody(call, upgrade, maxStartBody) : await readText(call.request, maxStartBody)
        const { Detach, Tty, ConsoleSize } = parseRequest('ExecStartConfig', text.trim() === '' ? {} : parseJson(text))
        // As in Docker, older clients have none, and nor has a command without a terminal.
        const consoleSize = Tty && call.version >= 42 && ConsoleSize?.length === 2 ? { height: ConsoleSize[0] ?? 0, width: ConsoleSize[1] ?? 0 } : undefined
        const attachment = await execs.start(call.params['id'] ?? '', { detach: Detach ?? false, tty: Tty ?? false, consoleSize })
        // Whether there are frames is for who starts it to say, as in Docker.
        if (attachment) await serveAttachment(call, attachment, { isRaw: Tty ?? false, headers: headers() })
        else call.response.writeHead(200).end()
      },
    },
  ]
}
