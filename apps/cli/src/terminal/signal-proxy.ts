const proxied = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const

/** Hands signals that reach this program on to the container, until disposed. */
export function proxySignals(send: (signal: string) => Promise<void>): Disposable {
  const pass = (signal: NodeJS.Signals): void => void send(signal).catch(() => {}) // it ended meanwhile
  for (const signal of proxied) process.on(signal, pass)
  return {
    [Symbol.dispose]() {
      for (const signal of proxied) process.off(signal, pass)
    },
  }
}
