/** @file `npm run walls`: writes the walls between the rooms of `src/` to `biome.walls.json` and ARCHITECTURE.md. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { biomeWalls, roomTable } from './rooms.ts'

const ROOT = join(import.meta.dirname, '..')
const ARCHITECTURE = join(ROOT, 'ARCHITECTURE.md')

writeFileSync(join(ROOT, 'biome.walls.json'), biomeWalls())
const text = readFileSync(ARCHITECTURE, 'utf8')
writeFileSync(
  ARCHITECTURE,
  text.replace(
    /(<!-- rooms -->\n)[\s\S]*?(\n<!-- end of rooms -->)/,
    (_, open, end) => open + roomTable() + end,
  ),
)
