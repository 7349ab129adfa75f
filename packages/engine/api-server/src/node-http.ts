/**
 * node:http by the way that evaluates nothing else: an `import` of it reads all its exports, and its `WebSocket` alone loads undici, which
 * costs 60 ms and 14 MB.
 */
export const { createServer, IncomingMessage, ServerResponse } = process.getBuiltinModule('node:http')
