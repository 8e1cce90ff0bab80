/** @file Reads the files of the console, which `npm run console:build` makes from the sources in `console/`. */

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

const BUILT = join(import.meta.dirname, 'built')
const compress = promisify(gzip)

const FILES = [
  { path: '/console', name: 'console.html', contentType: 'text/html; charset=utf-8' },
  { path: '/console/console.js', name: 'console.js', contentType: 'text/javascript; charset=utf-8' },
  { path: '/console/console.css', name: 'console.css', contentType: 'text/css; charset=utf-8' },
  { path: '/console/icon.svg', name: 'icon.svg', contentType: 'image/svg+xml' },
] as const

/** Returns every file of the page with its address, compressed once for all requests. */
export function readConsole() {
  return Promise.all(
    FILES.map(async ({ path, name, contentType }) => {
      const body = await readFile(join(BUILT, name))
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
      return { path, contentType, body, gzip: await compress(body, { level: 9 }), etag }
    }),
  )
}
