/** @file `npm run console:build`: writes the files of the page `/console` from its sources in `console/`. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BUILT, buildConsole } from './console/build.ts'

for (const [name, text] of await buildConsole()) await writeFile(join(BUILT, name), text)
