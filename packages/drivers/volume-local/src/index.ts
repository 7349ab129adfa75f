import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BerthError, messageOf, openRecords, transact } from '@berth/core'
import { mount, parseMountOptions, readMountInfo, umount } from '@berth/linux'
import type { VolumeDriver, VolumeInfo } from '@berth/volume-driver'

export interface LocalVolumesOptions {
  /** The directory that holds the volumes; the driver owns it. */
  root: string
}

interface Row {
  name: string
  options: string
  created: number
}

const migrations = [
  `CREATE TABLE volumes (name TEXT PRIMARY KEY, options TEXT NOT NULL, created INTEGER NOT NULL) STRICT;
   CREATE TABLE users (volume TEXT NOT NULL REFERENCES volumes ON DELETE CASCADE, user TEXT NOT NULL, PRIMARY KEY (volume, user)) STRICT`,
]

const knownOptions = ['type', 'device', 'o', 'size']
/** What a name may be, as it becomes a directory's. */
const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/

/**
 * Volumes in directories of this machine, one each under `root`. With the options `type`, `device` and `o` the directory is a mount instead
 * (a tmpfs, a bind, NFS), made for the first user and ended with the last.
 *
 * @example
 * using driver = localVolumes({ root: '/var/lib/berth/volumes' })
 * await driver.create({ name: 'data', options: {} })
 */
export function localVolumes({ root }: LocalVolumesOptions): VolumeDriver & Disposable {
  mkdirSync(root, { recursive: true, mode: 0o710 })
  const records = openRecords({ path: join(root, 'volumes.db'), migrations })
  const statements = {
    all: records.prepare('SELECT * FROM volumes'),
    one: records.prepare('SELECT * FROM volumes WHERE name = ?'),
    insert: records.prepare('INSERT INTO volumes VALUES (?, ?, ?)'),
    delete: records.prepare('DELETE FROM volumes WHERE name = ?'),
    users: records.prepare('SELECT user FROM users WHERE volume = ?'),
    addUser: records.prepare('INSERT OR IGNORE INTO users VALUES (?, ?)'),
    dropUser: records.prepare('DELETE FROM users WHERE volume = ? AND user = ?'),
  }
  const directory = (name: string): string => join(root, name)
  const files = (name: string): string => join(root, name, '_data')
  const row = (name: string): Row | undefined => statements.one.get(name) as unknown as Row | undefined
  const info = ({ name, created }: Row): VolumeInfo => ({ name, mountpoint: files(name), createdAt: new Date(created) })
  const usersOf = (name: string): string[] => statements.users.all(name).map((entry) => String(entry['user']))
  const isMounted = (path: string): boolean => readMountInfo().some(({ mountPoint }) => mountPoint === path)

  // A directory without a record was being made or removed when the process ended.
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (entry.isDirectory() && !row(entry.name)) rmSync(directory(entry.name), { recursive: true, force: true })
  }

  return {
    name: 'local',
    scope: 'local',

    async create({ name, options }) {
      if (!validName.test(name)) {
        throw new BerthError('invalid-argument', 'VOLUME_NAME_INVALID', `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`)
      }
      checkOptions(name, options)
      if (row(name)) return
      mkdirSync(files(name), { recursive: true, mode: 0o701 })
      chmodSync(files(name), 0o755) // whatever the umask: users inside the container decide from here on
      statements.insert.run(name, JSON.stringify(options), Date.now())
    },

    async get(name) {
      const found = row(name)
      return found && info(found)
    },

    async list() {
      return (statements.all.all() as unknown as Row[]).map(info)
    },

    async mount(name, user) {
      const found = row(name)
      if (!found) throw new BerthError('not-found', 'VOLUME_NOT_FOUND', `get ${name}: no such volume`)
      statements.addUser.run(name, user)
      const { type, device, o = '' } = JSON.parse(found.options) as Record<string, string>
      if (device !== undefined && !isMounted(files(name))) {
        try {
          const parsed = parseMountOptions(o.split(',').filter(Boolean))
          mount(device, files(name), type ?? 'none', parsed.flags, parsed.data)
        } catch (cause) {
          statements.dropUser.run(name, user)
          // The options may hold a password (CIFS): they are not repeated.
          throw new BerthError('invalid-argument', 'VOLUME_MOUNT_FAILED', `error while mounting volume '${files(name)}': failed to mount local volume: ${messageOf(cause)}`)
        }
      }
      return files(name)
    },

    async unmount(name, user) {
      const { changes } = statements.dropUser.run(name, user)
      if (changes === 0 || usersOf(name).length > 0) return
      const found = row(name)
      if (found && 'device' in (JSON.parse(found.options) as object) && isMounted(files(name))) umount(files(name))
    },

    async remove(name) {
      if (!row(name)) return
      const users = usersOf(name)
      if (users.length > 0) throw new BerthError('conflict', 'VOLUME_MOUNTED', `remove ${name}: volume is in use - [${users.join(', ')}]`)
      if (isMounted(files(name))) umount(files(name))
      // Renamed first: what a crash interrupts is then found as a directory without a record.
      const doomed = join(root, `.removing-${statSync(directory(name)).ino}`)
      transact(records, () => {
        statements.delete.run(name)
        renameSync(directory(name), doomed)
      })
      await rm(doomed, { recursive: true, force: true })
    },

    [Symbol.dispose]() {
      records.close()
    },
  }
}

function checkOptions(name: string, options: Readonly<Record<string, string>>): void {
  const invalid = (message: string): BerthError => new BerthError('invalid-argument', 'VOLUME_OPTION_INVALID', `create ${name}: ${message}`)
  for (const key of Object.keys(options)) if (!knownOptions.includes(key)) throw invalid(`invalid option: "${key}"`)
  if ('size' in options) throw invalid('quota size requested but no quota support')
  if ('device' in options !== 'type' in options) throw invalid(`missing ${'type' in options ? 'device' : 'type'} in volume options`)
  if ('o' in options && !('device' in options)) throw invalid('missing device in volume options')
}
