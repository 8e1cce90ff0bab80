import { describe, expect, test } from 'vitest'
import { VJP_RULES } from '#autodiff'
import { checkGradient, type Gradients } from '../../support/check-gradient.ts'
import { GRADIENT_CASES } from '../../support/op-cases.ts'

/** With fp32 runs and a step of 2e-2, differences are exact to about four digits. */
const TOLERANCE = 1e-4

function expectAgreement(gradients: Gradients) {
  for (const [input, { analytic, numeric }] of Object.entries(gradients)) {
    for (const [i, expected] of numeric.entries()) {
      const error = Math.abs(analytic[i]! - expected) / Math.max(1, Math.abs(expected))
      expect(error, `${input}[${i}]: rule ${analytic[i]}, differences ${expected}`).toBeLessThan(TOLERANCE)
    }
  }
}

describe.each([...new Set(GRADIENT_CASES.map(({ op }) => op))])('%s', (op) => {
  const cases = GRADIENT_CASES.filter((opCase) => opCase.op === op)

  test.each(cases)('$what: the rule agrees with central differences', async (opCase) => {
    expectAgreement(await checkGradient(opCase, 1, false))
  })

  test.each(cases)(
    '$what: with symbolic sizes the rule agrees too, or is refused where it needs numbers',
    async (opCase) => {
      const checking = checkGradient(opCase, 2, true)
      if (!opCase.needsSizes) return expectAgreement(await checking)
      await expect(checking).rejects.toMatchObject({ code: 'NOT_DIFFERENTIABLE' })
    },
  )
})

test('every rule has a case, and every case a rule', () => {
  expect([...new Set(GRADIENT_CASES.map(({ op }) => op))].sort()).toEqual(Object.keys(VJP_RULES).sort())
})
