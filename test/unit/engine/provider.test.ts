import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { chooseProvider, probe } from '../../../src/engine/child/onnx-runtime.ts'

const hasCuda = existsSync('/dev/nvidia0')

test('the probe multiplies matrices', async () => {
  await expect(probe('cpu', 0)).resolves.toBeUndefined()
})

test('the CPU is chosen without a probe when it was requested', async () => {
  expect(await chooseProvider('cpu', 0)).toEqual({ provider: 'cpu', reason: 'requested', isBroken: false })
})

describe.skipIf(hasCuda)('without a GPU', () => {
  test('auto takes the CPU and reports the missing CUDA file or the failure', async () => {
    const { provider, reason, isBroken } = await chooseProvider('auto', 0)
    expect(provider).toBe('cpu')
    expect(reason).toMatch(
      isBroken ? /^CUDA does not work here: / : /^CUDA is not installed: no .*libonnxruntime_providers_cuda/,
    )
  })

  test('cuda fails with an error that names the missing library', async () => {
    await expect(chooseProvider('cuda', 0)).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message: expect.stringMatching(/CUDA execution provider on device 0, got: .*standard error/s),
    })
  })
})
