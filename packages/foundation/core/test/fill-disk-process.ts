import { closeSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { openRecords } from '../src/index.ts'

// Fills the file system of its argument when records are there, and changes these then for long; says how large the database and its log became.
const dir = process.argv[2] ?? ''
const path = join(dir, 'things.db')
const migrations = ['CREATE TABLE things (name TEXT, size INTEGER) STRICT']
const sizes = (): number[] => [statSync(path).size, statSync(`${path}-wal`).size]
{
  const db = openRecords({ path, migrations })
  for (let n = 0; n < 100; n++) db.prepare('INSERT INTO things VALUES (?, 0)').run(`thing ${n}`)
  const before = sizes()
  const filler = openSync(join(dir, 'filler'), 'w')
  try {
    for (;;) writeSync(filler, Buffer.alloc(4096))
  } catch {
    closeSync(filler)
  }
  for (let n = 0; n < 3000; n++) db.prepare('UPDATE things SET size = size + 1, name = ?1 WHERE name = ?1').run(`thing ${n % 100}`)
  const added = db.prepare('INSERT INTO things VALUES (?, 1)')
  for (let n = 0; n < 100; n++) added.run('x'.repeat(1000))
  db.prepare('DELETE FROM things WHERE size = 1').run()
  process.stdout.write(JSON.stringify({ grew: sizes().map((size, index) => size - (before[index] ?? 0)), left: db.prepare('SELECT count(*) AS n, sum(size) AS size FROM things').get() }))
}
// As after a crash: what was recorded is there, and a full disk is no reason not to open it.
process.stdout.write(JSON.stringify(openRecords({ path, migrations }).prepare('SELECT count(*) AS n FROM things').get()))
