/** @file What `POST /solve` takes. */

import { Type } from 'typebox'
import type * as solving from '#solving'
import { STRATEGIES } from '#solving'
import { closed, OneOf, Seed, Text } from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'

/** What a request gets that says nothing; everything else falls to the model profile. */
export const SOLVE_DEFAULTS = { strategy: 'auto', learn: true, explain: false } as const

export const Strategy = OneOf(STRATEGIES, {
  $id: 'Strategy',
  description:
    'How to look for a better answer: `greedy` drafts once; `latentseek` optimises the draft’s latents; `majority` samples and votes; `lto` samples and draws one by the latent reward model’s confidence in each (before one is trained: by the verifier’s, and `degraded` says `lrm`); `auto` remembers similar episodes, then refines (the default of a request).',
})

/** Weights left out are the profile's, so only all three can add up to nothing here. */
const ALL_ZERO = {
  properties: { verifier: { const: 0 }, lrm: { const: 0 }, format: { const: 0 } },
  required: ['verifier', 'lrm', 'format'],
}

/** A `solving.SolveRequest` as callers write it: no tenant, and defaults may be left out. */
type Body = Omit<solving.SolveRequest, 'tenantId' | keyof typeof SOLVE_DEFAULTS> &
  Partial<Pick<solving.SolveRequest, keyof typeof SOLVE_DEFAULTS>>

export const SolveRequest = sameAs<Body>()(
  Type.Object(
    {
      question: Text({
        minLength: 1,
        maxLength: 16_384,
        description:
          'What to solve. No control characters but tab and line breaks. Must fit the model’s context with its prompt.',
      }),
      strategy: Type.Optional(ref(Strategy)),
      samples: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 64,
          description: 'N of `majority` and `lto`. Default: the model profile’s.',
        }),
      ),
      budget: Type.Optional(
        Type.Object(
          {
            maxIterations: Type.Optional(
              Type.Integer({ minimum: 0, maximum: 256, description: 'Updates of the latents.' }),
            ),
            maxNewTokens: Type.Optional(
              Type.Integer({ minimum: 1, maximum: 32_768, description: 'Tokens of one answer.' }),
            ),
            maxMs: Type.Optional(
              Type.Integer({ minimum: 1, maximum: 600_000, description: 'Milliseconds, queueing included.' }),
            ),
          },
          {
            ...closed,
            description:
              'Hard limits; when one is reached, the best answer so far is returned. Default: the profile’s.',
          },
        ),
      ),
      retrieval: Type.Optional(
        Type.Union(
          [
            Type.Object(
              {
                topK: Type.Optional(
                  Type.Integer({
                    minimum: 0,
                    maximum: 64,
                    description: 'How many episodes to remember at most.',
                  }),
                ),
                minSimilarity: Type.Optional(
                  Type.Number({
                    minimum: -1,
                    maximum: 1,
                    description: 'Cosine similarity below which one is no help.',
                  }),
                ),
              },
              { ...closed, title: 'RetrievalOptions' },
            ),
            Type.Literal(false),
          ],
          {
            description: 'Episodic memory, acts in `auto`; `false` switches it off. Default: the profile’s.',
          },
        ),
      ),
      weaver: Type.Optional(
        Type.Boolean({
          default: true,
          description: 'Use the active latent weaver, if there is one; acts in `auto`.',
        }),
      ),
      reward: Type.Optional(
        Type.Object(
          {
            verifier: Type.Optional(Weight('Weight of the model’s own verdict.')),
            lrm: Type.Optional(Weight('Weight of the latent reward model.')),
            format: Type.Optional(Weight('Weight of the format rules.')),
          },
          {
            ...closed,
            not: ALL_ZERO,
            description: 'Weights of the reward, normalised; not all 0. Default: the profile’s.',
          },
        ),
      ),
      reference: Type.Optional(
        Text({
          minLength: 1,
          maxLength: 1024,
          description:
            'A known answer: becomes the episode’s label. Never shown to the model, never used to choose the answer.',
        }),
      ),
      learn: Type.Optional(
        Type.Boolean({
          default: SOLVE_DEFAULTS.learn,
          description: '`false`: nothing of this request is kept.',
        }),
      ),
      seed: Type.Optional({
        ...Seed,
        description:
          'Same seed, versions and memory on CPU: same tokens. Default: random, and echoed in the answer.',
      }),
      explain: Type.Optional(
        Type.Boolean({
          default: SOLVE_DEFAULTS.explain,
          description: 'Adds `candidates` and `latents` to the answer.',
        }),
      ),
    },
    {
      ...closed,
      $id: 'SolveRequest',
      description: 'A question and how to solve it. Fields that the strategy does not use are ignored.',
      examples: [{ question: 'Eve at the till: 6 + 4 * 7 - 4 - 5 = ?' }],
    },
  ),
)

function Weight(description: string) {
  return Type.Number({ minimum: 0, maximum: 1_000_000, description })
}
