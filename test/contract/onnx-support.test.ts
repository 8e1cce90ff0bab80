/** @file docs/onnx-support.md lists what the registries of autodiff hold; `npm run onnx-support` writes it anew. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withSupportTable } from '../support/onnx-support.ts'

const DOCUMENT = join(import.meta.dirname, '../../docs/onnx-support.md')

test('the table of ops is current', async () => {
  await expect(withSupportTable(readFileSync(DOCUMENT, 'utf8'))).toMatchFileSnapshot(DOCUMENT)
})
