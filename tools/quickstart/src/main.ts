import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { busyboxTar } from '@berth/e2e'
import { startRegistry } from '@berth/registry'
import { berth, endDaemon, endEarlier, fetchPage, roots, Sorry, startDaemon, tell } from './steps.ts'

// What a newcomer sees first: every step is a command that they can type themselves.

const image = 'quickstart/busybox:latest'
const container = 'quickstart-web'
const page = 'Hello from a container that Berth runs.'

async function showImages(): Promise<void> {
  tell("An image of Debian's busybox, pushed to a registry of our own and pulled back")
  await using registry = await startRegistry({ root: roots.registry })
  const remote = `127.0.0.1:${registry.port}/${image}`
  await berth('import', '--change', 'CMD ["sh"]', busyboxTar(), remote)
  await berth('push', remote)
  await berth('rmi', remote)
  await berth('pull', remote)
  await berth('tag', remote, image)
  await berth('rmi', remote)
  await berth('images')
}

async function showContainer(): Promise<void> {
  tell('A container that serves a page on a published port')
  const serve = `mkdir -p /www && echo '${page}' > /www/index.html && echo serving && exec httpd -f -v -p 80 -h /www`
  await berth('run', '-d', '--init', '--name', container, '-p', '127.0.0.1::80', image, 'sh', '-c', serve)
  const address = await berth('port', container, '80/tcp')
  const text = await fetchPage(`http://${address.trim()}/`)
  if (text.trim() !== page) throw new Sorry(`the container answered with something else than its page: ${text}`)
  console.log(`  fetched http://${address.trim()}/: ${text.trim()}`)
  tell('What runs, what it said, and what it takes')
  await berth('ps')
  await berth('logs', container)
  await berth('stats', '--no-stream', container)
}

async function tidyUp(): Promise<void> {
  tell('Tidying up')
  await berth('rm', '-f', container)
  await berth('rmi', image)
  await endDaemon()
}

function tellWhatNext(keep: boolean): void {
  tell('What to try next')
  const host = `unix://${roots.socket}`
  console.log(
    keep
      ? `  The daemon is up, with the container ${container}. Try it with the docker command line or with ours:
    docker -H ${host} ps
    node_modules/.bin/berth -H ${host} exec -it ${container} sh
  npm run quickstart     ends it again`
      : `  npm run quickstart -- --keep     the same, and leaves the daemon up
  node_modules/.bin/berthd         a daemon on /var/lib/berth and unix:///run/berth/berth.sock
  DOCKER_HOST=unix:///run/berth/berth.sock docker run --rm -it IMAGE sh`,
  )
  console.log('  README.md                        what works today, and how the libraries are used alone')
}

async function main(): Promise<void> {
  const { keep } = parseArgs({ options: { keep: { type: 'boolean', default: false } } }).values
  const started = performance.now()
  await endEarlier()
  try {
    tell('Starting berthd')
    await startDaemon()
    await showImages()
    rmSync(roots.registry, { recursive: true })
    await showContainer()
    if (!keep) await tidyUp()
  } catch (error) {
    await endDaemon()
    throw error
  }
  tellWhatNext(keep)
  console.log(`\nIt took ${((performance.now() - started) / 1000).toFixed(1)} s.`)
}

try {
  await main()
} catch (error) {
  console.error(`berth: ${error instanceof Sorry ? error.message : `the quickstart failed: ${error instanceof Error ? error.message : String(error)}`}`)
  process.exitCode = 1
}
