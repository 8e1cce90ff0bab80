/** @file The committed files of the console are what its sources give; `npm run console:build` writes them. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BUILT, buildConsole } from '../../scripts/console/build.ts'

test('src/console/built is current', async () => {
  const built = await buildConsole()
  expect(readdirSync(BUILT).sort()).toEqual([...built.keys()].sort())
  for (const [name, text] of built) expect(readFileSync(join(BUILT, name), 'utf8') === text, name).toBe(true)
})
