/** @file The code blocks of a README, which tests run as they are printed. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

/** Returns the blocks without a language, in order: commands and what they print. @param readme path from the root */
export async function blocksOf(readme: string): Promise<readonly string[]> {
  const text = await readFile(join(ROOT, readme), 'utf8')
  return [...text.matchAll(/^```\n(.*?)^```$/gms)].map(([, block = '']) => block)
}
