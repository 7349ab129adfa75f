/** Whether work comes to an end, well or badly, within a time in milliseconds. */
export async function endsWithin(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), Math.min(milliseconds, longestTimer))))
  const ended = work.then(() => true, () => true) // prettier-ignore
  try {
    return await Promise.race([ended, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What timers of Node can wait at most. */
const longestTimer = 2 ** 31 - 1
