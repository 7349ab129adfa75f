import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const cached = join(import.meta.dirname, '../../.cache/busybox.tar')

/** A root file system of Debian's static busybox, as a tar. Made once; other test files may be making it at the same time. */
export function busyboxTar(): string {
  if (existsSync(cached)) return cached
  const dir = mkdtempSync(join(tmpdir(), 'berth-busybox-'))
  for (const name of ['rootfs/bin', 'rootfs/etc', 'rootfs/tmp', 'rootfs/root', 'rootfs/data']) mkdirSync(join(dir, name), { recursive: true })
  chmodSync(join(dir, 'rootfs/tmp'), 0o1777)
  copyFileSync('/bin/busybox', join(dir, 'rootfs/bin/busybox'))
  for (const applet of execFileSync('busybox', ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean)) {
    if (applet !== 'busybox') symlinkSync('busybox', join(dir, 'rootfs/bin', applet))
  }
  writeFileSync(join(dir, 'rootfs/etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\napp:x:1000:1000::/home:/bin/sh\n')
  writeFileSync(join(dir, 'rootfs/etc/group'), 'root:x:0:\nwheel:x:10:root\nnogroup:x:65534:\napp:x:1000:\nextra:x:1001:app\n')
  writeFileSync(join(dir, 'rootfs/data/from-image'), 'from the image\n')
  execFileSync('tar', ['--numeric-owner', '--owner=0', '--group=0', '-C', join(dir, 'rootfs'), '-cf', join(dir, 'busybox.tar'), '.'])
  mkdirSync(join(cached, '..'), { recursive: true })
  execFileSync('mv', [join(dir, 'busybox.tar'), `${cached}.${process.pid}`])
  renameSync(`${cached}.${process.pid}`, cached)
  rmSync(dir, { recursive: true })
  return cached
}
